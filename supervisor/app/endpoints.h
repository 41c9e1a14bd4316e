// The paths of the exporter and their responses. Loop thread only. Nothing blocks, except that a
// reload reads the web configuration.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/limited_log.h"
#include "common/lock/lock_monitor.h"
#include "supervisor/app/config_reload.h"
#include "supervisor/app/module_store.h"
#include "supervisor/app/results_endpoint.h"
#include "supervisor/config/options.h"
#include "supervisor/config/reloadable_file.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/http/http_server.h"
#include "supervisor/probe/probe_dispatcher.h"
#include "supervisor/workers/worker_pool.h"

namespace iperf3_exporter {

// What /ready reports. During kStarting, probes wait for the first worker.
enum class LifecycleState { kStarting, kReady, kDraining };

class Endpoints {
 public:
  // Everything referred to here must outlive the server's last response.
  struct Context {
    event_base* base;
    const Options& options;
    const LifecycleState& state;
    const LayerStates& supervisor_layers;
    const std::optional<LockMonitor>& lock_monitor;  // empty with scope `none`
    WorkerPool& pool;
    ProbeDispatcher& dispatcher;
    ExporterMetrics& metrics;
    HttpServer& server;
    const ReloadableFile& web_config;
    const ModuleStore& module_store;
    std::function<OwnTestResults()> own_tests;
    std::function<void(ConfigReload::Done)> reload;  // reloads the configuration files
  };

  explicit Endpoints(Context context)
      : context_(std::move(context)),
        results_(context_.base, context_.options.probe_page, context_.own_tests) {}
  Endpoints(const Endpoints&) = delete;
  Endpoints& operator=(const Endpoints&) = delete;

  // Adds every path to the server. Call it once.
  void AddRoutes();

  // Starts the probes that arrived before the first worker was ready, or refuses them if none has
  // become ready. Call it after the state has left kStarting.
  void StartEarlyProbes();

 private:
  void AddPage(const std::string& path, std::function<HttpResponse()> page);

  // Logs each name once, up to a maximum number of names. Names with the same start count as one.
  void WarnAboutIgnoredParameters(const ProbeRequest& request, const std::string& peer);

  void OnProbe(const std::shared_ptr<HttpExchange>& exchange);
  // Keeps the probe until StartEarlyProbes. Refuses it at its deadline, and at once if as many
  // probes wait as the queue may hold.
  void Hold(const std::shared_ptr<HttpExchange>& exchange, Deadline deadline);
  // Respond and Refuse each send the response and count it in the metrics. A refusal is logged.
  void Respond(HttpExchange& exchange, const ProbeOutcome& outcome);
  void Refuse(HttpExchange& exchange, const Refusal& refusal);
  void OnMetrics(const std::shared_ptr<HttpExchange>& exchange);
  void OnReload(const std::shared_ptr<HttpExchange>& exchange);
  [[nodiscard]] HttpResponse HealthPage() const;
  [[nodiscard]] HttpResponse ReadyPage() const;
  [[nodiscard]] HttpResponse LockStatusPage() const;
  // In the queue, or for the first worker.
  [[nodiscard]] std::size_t CountWaiting() const;

  struct EarlyProbe {
    std::shared_ptr<HttpExchange> exchange;
    std::unique_ptr<Timer> timer;
  };

  const Context context_;
  ResultsEndpoint results_;
  std::set<std::string> warned_parameters_;
  LimitedLog refusals_{LogLevel::kWarn, "probe refused"};
  std::vector<EarlyProbe> early_probes_;
};

}  // namespace iperf3_exporter
