// The paths of the exporter and the response of each. Loop thread only. Nothing here blocks, except
// that a reload reads files.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/lock/lock_monitor.h"
#include "supervisor/config/options.h"
#include "supervisor/config/reloadable_file.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/http/http_server.h"
#include "supervisor/probe/probe_dispatcher.h"
#include "supervisor/workers/worker_pool.h"

namespace iperf3_exporter {

// What /ready reports.
enum class LifecycleState { kStarting, kReady, kDraining };

class Endpoints {
 public:
  // What the responses are made from; all of it must outlive the server's last response.
  struct Context {
    const Options& options;
    const LifecycleState& state;
    const LayerStates& supervisor_layers;
    const std::optional<LockMonitor>& lock_monitor;  // empty with scope `none`
    WorkerPool& pool;
    ProbeDispatcher& dispatcher;
    ExporterMetrics& metrics;
    const ReloadableFile& web_config;
  };
  struct Hooks {
    std::function<Status()> reload;  // reads the web configuration again
  };

  Endpoints(Context context, HttpServer& server, Hooks hooks);
  Endpoints(const Endpoints&) = delete;
  Endpoints& operator=(const Endpoints&) = delete;

  // Adds every path to the server; once.
  void AddRoutes();

 private:
  void AddPage(const std::string& path, std::function<HttpResponse()> page);

  // Logs each name once.
  void WarnOfIgnored(const std::vector<std::string>& names, const std::string& peer);

  void OnProbe(const std::shared_ptr<HttpExchange>& exchange);
  // Both reply, and count the answer.
  void Answer(HttpExchange& exchange, const ProbeAnswer& answer);
  void Refuse(HttpExchange& exchange, const Refusal& refusal);
  void OnMetrics(const std::shared_ptr<HttpExchange>& exchange);
  void OnReload(const std::shared_ptr<HttpExchange>& exchange);
  [[nodiscard]] HttpResponse HealthPage() const;
  [[nodiscard]] HttpResponse ReadyPage() const;
  [[nodiscard]] HttpResponse LockStatusPage() const;

  const Context context_;
  HttpServer& server_;
  const Hooks hooks_;
  std::set<std::string> warned_parameters_;
};

}  // namespace iperf3_exporter
