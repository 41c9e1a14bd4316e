// Connects the parts of the supervisor (HTTP, probes, workers, lock, metrics) and runs them from
// start to shutdown. One per process.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/error.h"
#include "common/lock/lock_monitor.h"
#include "supervisor/app/config_reload.h"
#include "supervisor/app/endpoints.h"
#include "supervisor/app/module_store.h"
#include "supervisor/app/service_manager.h"
#include "supervisor/app/web_access.h"
#include "supervisor/budget/budget_ledger.h"
#include "supervisor/config/options.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/http/http_server.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/probe/probe_dispatcher.h"
#include "supervisor/schedule/own_tests.h"
#include "supervisor/workers/worker_pool.h"

namespace iperf3_exporter {

class Exporter {
 public:
  explicit Exporter(Options options);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // For --config.check: fails as Start would, as far as that shows without opening a port. Starts a
  // worker, which runs iperf3 in its sandbox, and waits until it is ready. Creates no file of the
  // lock and leaves nothing behind. Destroy this afterwards.
  [[nodiscard]] Status Check();

  // Creates the lock, loads the configuration files, listens, starts the workers and waits until
  // one is ready, or until a signal asks for the shutdown, which is no error. After an error,
  // destroy this. Error::is_transient tells whether to start again.
  [[nodiscard]] Status Start();

  // Serves until SIGTERM or SIGINT.
  void Run();

 private:
  void PrepareProcess();
  [[nodiscard]] Status CheckSystemdSockets() const;
  [[nodiscard]] Status PrepareLock();
  [[nodiscard]] Status OpenStateDirectory();
  [[nodiscard]] Status LoadConfigFiles();
  void ConfigureOwnTests();
  [[nodiscard]] Status StartWorkers();
  [[nodiscard]] Status Listen();
  // Tries again if the failure is transient. Takes the pauses in between from the front of
  // `pauses`.
  [[nodiscard]] Status ListenOn(const ListenAddress& address,
                                std::span<const std::chrono::seconds>& pauses);
  // Returns when `is_done`, or when a signal has asked for the shutdown.
  void RunLoopWhileStarting(const std::function<bool()>& is_done);
  // After a failure: answers the probes that wait for the start.
  void RefuseEarlyProbes();
  void BecomeReady();

  // A worker reports that the lock's files are gone: creates them again if they are.
  void RepairLock();
  // While the exporter starts, later: the installed iperf3, with which modules are compared, is not
  // known yet.
  void ReloadConfigFiles(ConfigReload::Done done);
  void OnNewModules(const Modules& before);
  [[nodiscard]] std::string StatusText() const;

  void Shutdown();
  void AwaitLastResponses();
  void EndLoop();

  Options options_;
  EventBase base_;
  ExporterMetrics metrics_;
  WebAccess web_access_;
  std::unique_ptr<BudgetLedger> budgets_;  // null without --state.directory
  ModuleStore module_store_;
  HttpServer server_;
  WorkerPool pool_;
  ProbeDispatcher dispatcher_;
  OwnTests own_tests_;
  ServiceManager service_manager_;
  ConfigReload reload_;
  std::optional<LockMonitor> lock_monitor_;
  LifecycleState state_ = LifecycleState::kStarting;
  LayerStates layers_{};  // the supervisor's own
  Endpoints endpoints_;
  Timer drain_limit_;
  Timer last_responses_check_;
  Deadline drain_deadline_;
  Deadline last_responses_deadline_;
  std::vector<std::unique_ptr<SignalWatch>> signals_;
  bool reload_when_ready_ = false;
  bool ended_ = false;
};

}  // namespace iperf3_exporter
