#include "supervisor/app/exporter.h"

#include <event2/event.h>
#include <malloc.h>
#include <signal.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "common/build_info.h"
#include "common/cancel_signal.h"
#include "common/lock/lock_files.h"
#include "common/logging.h"
#include "common/text.h"
#include "supervisor/app/process_setup.h"
#include "supervisor/budget/state_directory.h"
#include "supervisor/schedule/budget_hooks.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long running probes may continue after SIGTERM. The exporter ends within 30 s: three more are
// for a worker that does not react to its cancel, for the last responses, and for WorkerPool::Stop.
constexpr seconds kDrainLimit{27};
// The time limit for the last responses to reach their scrapers.
constexpr seconds kLastResponsesLimit{1};
constexpr milliseconds kLastResponsesCheck{5};

// The pauses between attempts to listen, if a port is in use or an address does not exist yet. All
// addresses share them. Together with the start of a worker (5 s) they are shorter than the unit's
// TimeoutStartSec=.
constexpr seconds kListenPauses[] = {seconds(1), seconds(2), seconds(4), seconds(8)};

WorkerPool::Settings PoolSettings(const Options& options) {
  // The worker of a check runs no test, and the files of the lock may not exist.
  return {.path = options.worker_path,
          .count = options.config_check ? 1 : options.worker_count,
          .config = {.lock_name = options.lock_name,
                     .lock_scope = options.config_check ? LockScope::kNone : options.lock_scope,
                     .iperf3_path = options.iperf3_path,
                     .sandbox = options.sandbox,
                     .log_level = static_cast<std::uint8_t>(options.log_level),
                     .log_json = options.log_format == LogFormat::kJson},
          .is_check = options.config_check};
}

tl::unexpected<Error> InStateDirectory(Error error) {
  error.message.insert(0, "--state.directory: ");
  return tl::unexpected(std::move(error));
}

}  // namespace

Exporter::Exporter(Options options)
    : options_(std::move(options)),
      base_(CreateEventBase()),
      web_access_(base_.get()),
      module_store_(options_,
                    [this] {
                      const WorkerReady* worker = pool_.latest_ready();
                      return worker == nullptr ? nullptr : &worker->iperf3;
                    }),
      server_(base_.get(), {.max_connections = options_.max_connections}, web_access_.Hooks()),
      pool_(base_.get(), PoolSettings(options_),
            {.on_idle = [this] { dispatcher_.Dispatch(); },
             .on_job_event = [this](const JobEvent& event) { dispatcher_.OnJobEvent(event); },
             .on_restart = [this](WorkerRestart reason) { metrics_.OnWorkerRestart(reason); },
             .on_lock_gone = [this] { RepairLock(); }}),
      dispatcher_(
          base_.get(), options_, pool_,
          {.on_change = [this] { service_manager_.NotifyStatusSoon(); },
           .on_lock_wait = [this](std::chrono::nanoseconds wait) { metrics_.OnLockWait(wait); },
           .on_lock_timeout = [this] { metrics_.OnLockTimeout(); },
           .on_lock_recovery = [this] { metrics_.OnLockRecovery(); }}),
      own_tests_(
          {.base = base_.get(),
           .options = options_,
           .dispatcher = dispatcher_,
           .iperf3 = [this]() -> const Iperf3Description& { return pool_.latest_ready()->iperf3; }},
          MakeBudgetHooks(budgets_)),
      service_manager_(base_.get(), [this] { return StatusText(); }),
      reload_(base_.get(), web_access_.config_file(), module_store_,
              {.on_begin =
                   [this] {
                     if (state_ == LifecycleState::kReady) service_manager_.NotifyReloading();
                   },
               .on_end =
                   [this] {
                     if (state_ == LifecycleState::kReady) service_manager_.NotifyReady();
                   },
               .on_new_modules = [this](const Modules& before) { OnNewModules(before); }}),
      endpoints_({.base = base_.get(),
                  .options = options_,
                  .state = state_,
                  .supervisor_layers = layers_,
                  .lock_monitor = lock_monitor_,
                  .pool = pool_,
                  .dispatcher = dispatcher_,
                  .metrics = metrics_,
                  .server = server_,
                  .web_config = web_access_.config_file(),
                  .module_store = module_store_,
                  .own_tests = [this] { return own_tests_.Snapshot(); },
                  .reload = [this](auto done) { ReloadConfigFiles(std::move(done)); }}),
      drain_limit_(base_.get(), [this] { dispatcher_.CancelRunning(); }),
      last_responses_check_(base_.get(), [this] { AwaitLastResponses(); }) {}

Exporter::~Exporter() {
  pool_.Stop();
  if (!lock_monitor_) return;
  lock_monitor_.reset();
  RemoveUnusedLockFiles(options_.lock_name, options_.lock_scope);
}

void Exporter::PrepareProcess() {
  LimitThreadStacks();
  // The cancel signal can arrive as soon as a worker exists.
  IgnoreCancelSignal();
  layers_ = EnterSelfProtection();
}

Status Exporter::Check() {
  PrepareProcess();
  if (options_.lock_scope != LockScope::kNone) {
    Status status = CheckLockFiles(options_.lock_name, options_.lock_scope);
    if (!status) return status;
  }
  if (!options_.state_directory.empty()) {
    if (Status status = StateDirectory::Check(options_.state_directory); !status) {
      return InStateDirectory(std::move(status.error()));
    }
  }
  if (Status status = LoadConfigFiles(); !status) return status;
  if (!options_.systemd_socket) {
    for (const ListenAddress& address : options_.listen_addresses) {
      if (Status status = ListeningSocket::Check(address); !status) return status;
    }
  }
  return StartWorkers();
}

Status Exporter::Start() {
  PrepareProcess();
  const auto watch = [this](int number, std::function<void()> callback) {
    signals_.push_back(std::make_unique<SignalWatch>(base_.get(), number, std::move(callback)));
  };
  watch(SIGTERM, [this] { Shutdown(); });
  watch(SIGINT, [this] { Shutdown(); });
  watch(SIGHUP, [this] { ReloadConfigFiles([](const Status&) {}); });
  if (Status status = CheckSystemdSockets(); !status) return status;
  if (Status status = PrepareLock(); !status) return status;
  if (Status status = OpenStateDirectory(); !status) return status;
  endpoints_.AddRoutes();
  if (Status status = LoadConfigFiles(); !status) return status;
  if (Status status = Listen(); !status) {
    RefuseEarlyProbes();
    return status;
  }
  // A signal has asked for the shutdown.
  if (state_ != LifecycleState::kStarting) return {};
  if (Status status = StartWorkers(); !status) return status;
  if (state_ == LifecycleState::kStarting) BecomeReady();
  return {};
}

// While it waits, an exporter that listens already serves everything but probes. It gives up only
// if the next worker would fail too; a check reports the first failure.
Status Exporter::StartWorkers() {
  if (Status status = pool_.Start(); !status) {
    status.error().message.insert(0, "--worker.path: ");
    return status;
  }
  // Reading the command line and the configuration needs more memory than serving. Trimmed while
  // the worker starts.
  ::malloc_trim(0);
  const auto has_failed = [this] {
    const auto& error = pool_.latest_error();
    return error && (!error->is_transient || options_.config_check);
  };
  RunLoopWhileStarting([&] { return pool_.latest_ready() || has_failed(); });
  if (has_failed()) {
    RefuseEarlyProbes();
    Error error = *pool_.latest_error();
    error.message.insert(
        0, "no worker became ready with --iperf3.path=" + options_.iperf3_path + ": ");
    return tl::unexpected(std::move(error));
  }
  if (!pool_.latest_ready()) return {};  // a signal has asked for the shutdown
  Status status = module_store_.Check();
  if (!status) RefuseEarlyProbes();
  return status;
}

void Exporter::RefuseEarlyProbes() {
  state_ = LifecycleState::kDraining;
  dispatcher_.Drain(nullptr);  // for the case that a worker is ready
  endpoints_.StartEarlyProbes();
  ::event_base_loop(base_.get(), EVLOOP_NONBLOCK);  // sends the refusals
}

void Exporter::BecomeReady() {
  state_ = LifecycleState::kReady;
  const WorkerReady& worker = *pool_.latest_ready();
  metrics_.SetIperf3Version(worker.iperf3.version);
  LogSandbox(layers_, worker.sandbox);
  const Modules& modules = *module_store_.modules();
  WarnAboutOpenModules(modules, nullptr);
  Log(LogLevel::kInfo, "ready",
      {{"version", kVersion},
       {"iperf3", worker.iperf3.version},
       {"path", options_.iperf3_path},
       {"modules", modules.by_name.size()},
       {"own_tests", modules.own_tests.size()}});
  service_manager_.NotifyReady();
  if (std::exchange(reload_when_ready_, false)) ReloadConfigFiles([](const Status&) {});
  endpoints_.StartEarlyProbes();
  ConfigureOwnTests();
}

// Otherwise nobody would accept the connections, and systemd would start the service in a loop.
Status Exporter::CheckSystemdSockets() const {
  if (options_.systemd_socket || ListeningSocket::CountFromSystemd() <= 0) return {};
  return MakeError(
      "systemd holds the listening socket, but --web.systemd-socket is not set: add it to the "
      "flags, or disable the socket unit");
}

Status Exporter::PrepareLock() {
  if (options_.lock_scope == LockScope::kNone) return {};
  auto monitor = LockMonitor::Create(options_.lock_name, options_.lock_scope);
  if (!monitor) return tl::unexpected(monitor.error());
  lock_monitor_ = std::move(*monitor);
  return {};
}

Status Exporter::OpenStateDirectory() {
  if (options_.state_directory.empty()) return {};
  auto directory = StateDirectory::Open(options_.state_directory);
  if (!directory) return InStateDirectory(std::move(directory.error()));
  budgets_ = std::make_unique<BudgetLedger>(
      base_.get(), std::move(*directory),
      [this](const std::string& test) { own_tests_.OnBudgetChange(test); });
  return {};
}

void Exporter::ConfigureOwnTests() {
  if (budgets_) budgets_->Load(module_store_.modules()->own_tests);
  own_tests_.Configure(module_store_.modules());
}

Status Exporter::LoadConfigFiles() {
  if (Status status = module_store_.LoadFirst(); !status) return status;
  if (options_.web_config_file.empty()) return {};
  return web_access_.LoadConfig(options_.web_config_file);
}

void Exporter::RunLoopWhileStarting(const std::function<bool()>& is_done) {
  while (!is_done() && state_ == LifecycleState::kStarting) {
    ::event_base_loop(base_.get(), EVLOOP_ONCE);
  }
}

Status Exporter::ListenOn(const ListenAddress& address, std::span<const seconds>& pauses) {
  for (;;) {
    Status status = server_.Listen(address);
    if (status || !status.error().is_transient || pauses.empty()) return status;
    const seconds pause = pauses.front();
    pauses = pauses.subspan(1);
    Log(LogLevel::kWarn, "cannot listen yet",
        {{"detail", status.error().message}, {"next_attempt_seconds", pause.count()}});
    bool is_over = false;
    Timer timer(base_.get(), [&is_over] { is_over = true; });
    timer.Start(pause);
    RunLoopWhileStarting([&is_over] { return is_over; });
    if (state_ != LifecycleState::kStarting) return {};
  }
}

Status Exporter::Listen() {
  if (options_.systemd_socket) {
    if (Status status = server_.AdoptSystemdSockets(); !status) return status;
  } else {
    std::span<const seconds> pauses = kListenPauses;
    for (const ListenAddress& address : options_.listen_addresses) {
      if (Status status = ListenOn(address, pauses); !status) return status;
    }
  }
  for (const std::string& address : server_.ListeningOn()) {
    Log(LogLevel::kInfo, "listening",
        {{"address", address},
         {"tls", web_access_.uses_tls()},
         {"users", web_access_.has_users()}});
  }
  return {};
}

void Exporter::RepairLock() {
  if (!lock_monitor_ || !lock_monitor_->NeedsRepair()) return pool_.OnLockIntact();
  Log(LogLevel::kError,
      "the lock's files were deleted or changed while in use; a test that still runs with the old "
      "ones may overlap with the next",
      {{"name", options_.lock_name}});
  if (const Status status = PrepareLock(); status) {
    Log(LogLevel::kInfo, "created the lock again", {{"name", options_.lock_name}});
  } else {
    Log(LogLevel::kError, "cannot create the lock", {{"detail", status.error().message}});
  }
  // Also after a failure: no worker can use the old files. The replacements fail to start without
  // new ones, and each failure leads here again, after the back-off of the workers.
  pool_.OnLockChanged();
}

void Exporter::ReloadConfigFiles(ConfigReload::Done done) {
  if (state_ != LifecycleState::kStarting) return reload_.Request(std::move(done));
  reload_when_ready_ = true;
  done(MakeError("the exporter is starting, and reloads when it is ready"));
}

void Exporter::OnNewModules(const Modules& before) {
  WarnAboutOpenModules(*module_store_.modules(), &before);
  ConfigureOwnTests();
}

std::string Exporter::StatusText() const {
  return std::to_string(dispatcher_.CountRunning()) + " running, " +
         std::to_string(dispatcher_.CountWaiting()) + " waiting";
}

void Exporter::Run() {
  if (!ended_) ::event_base_dispatch(base_.get());
  pool_.Stop();
}

void Exporter::Shutdown() {
  if (state_ == LifecycleState::kDraining) {
    Log(LogLevel::kWarn, "second signal: stopping immediately");
    EndLoop();
    return;
  }
  state_ = LifecycleState::kDraining;
  Log(LogLevel::kInfo, "shutting down",
      {{"running", dispatcher_.CountRunning()}, {"waiting", dispatcher_.CountWaiting()}});
  service_manager_.NotifyStopping();
  server_.StopAccepting();
  own_tests_.Stop();
  endpoints_.StartEarlyProbes();
  drain_limit_.Start(kDrainLimit);
  drain_deadline_ = Clock::now() + kDrainLimit;
  dispatcher_.Drain([this] {
    last_responses_deadline_ = Clock::now() + kLastResponsesLimit;
    // Not at once: a request may have arrived that the loop has not read yet.
    last_responses_check_.Start(kLastResponsesCheck);
  });
}

void Exporter::AwaitLastResponses() {
  const TimePoint now = Clock::now();
  // The check of a password may take seconds. Its response then gets its own second.
  if (server_.AwaitsReply() && now < drain_deadline_) {
    last_responses_deadline_ = now + kLastResponsesLimit;
  }
  if (server_.PendingRequests() == 0 || now >= last_responses_deadline_) {
    EndLoop();
  } else {
    last_responses_check_.Start(kLastResponsesCheck);
  }
}

void Exporter::EndLoop() {
  ended_ = true;
  ::event_base_loopbreak(base_.get());
}

}  // namespace iperf3_exporter
