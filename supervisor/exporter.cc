#include "supervisor/exporter.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <utility>

#include "common/build_info.h"
#include "common/lock/lock_objects.h"
#include "common/logging.h"
#include "supervisor/pages.h"
#include "supervisor/probe/probe_request.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long running probes may go on after SIGTERM (CONTRACT, "Time").
constexpr seconds kDrainLimit{30};
// How long written answers may take to reach their scrapers before the end.
constexpr seconds kLastAnswersLimit{1};
constexpr milliseconds kLastAnswersCheck{5};

// What a scraper is told with 503: about one short test later.
constexpr char kRetryAfterSeconds[] = "5";

std::uint32_t LockSlots(LockScope scope) {
  switch (scope) {
    case LockScope::kHost:
      return 1;
    case LockScope::kNone:
      return 0;
    case LockScope::kBind:
    case LockScope::kTarget:
      break;
  }
  return kKeyedLockSlots;
}

WorkerPool::Settings PoolSettings(const Options& options) {
  WorkerPool::Settings settings;
  settings.path = options.worker_path;
  settings.count = options.worker_count;
  settings.config.lock_name = options.lock_name;
  settings.config.lock_slots = LockSlots(options.lock_scope);
  settings.config.iperf3_path = options.iperf3_path;
  settings.config.sandbox = options.sandbox;
  settings.config.log_level = static_cast<std::uint8_t>(options.log_level);
  settings.config.log_json = options.log_format == LogFormat::kJson;
  return settings;
}

HttpLimits ServerLimits(const Options& options) {
  HttpLimits limits;
  limits.max_connections = options.max_connections;
  return limits;
}

HttpResponse PlainText(int code, const std::string& line) {
  return {.code = code, .body = line + "\n"};
}

HttpResponse Unavailable(const std::string& reason) {
  HttpResponse response = PlainText(503, reason);
  response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return response;
}

ExpositionFormat FormatFor(const HttpExchange& exchange) {
  return NegotiateFormat(exchange.Header("Accept").value_or(""));
}

std::string LayersIn(LayerState state, const LayerStates& states) {
  std::string names;
  for (std::size_t i = 0; i < kSandboxLayerCount; ++i) {
    if (states[i] != state) continue;
    if (!names.empty()) names += ',';
    names += kSandboxLayerNames[i];
  }
  return names;
}

void LogSandbox(const char* process, const LayerStates& states) {
  const std::string missing = LayersIn(LayerState::kMissing, states);
  Log(missing.empty() ? LogLevel::kInfo : LogLevel::kWarn, "sandbox",
      {{"process", process},
       {"in_force", LayersIn(LayerState::kInForce, states)},
       {"missing", missing},
       {"not_offered", LayersIn(LayerState::kNotOffered, states)}});
}

// The supervisor holds keys: no core file with them, and nothing that it starts gains rights.
void GiveUpWhatIsNeverNeeded() {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

// Every connection is a descriptor, and the soft limit is 1024 on most systems.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Exporter::Exporter(Options options)
    : options_(std::move(options)),
      base_(CreateEventBase()),
      server_(base_.get(), ServerLimits(options_)),
      pool_(base_.get(), PoolSettings(options_),
            {.on_idle = [this] { OnWorkerIdle(); },
             .on_restart = [this](WorkerRestart reason) { metrics_.OnWorkerRestart(reason); },
             .on_unable = [this](const std::string& why) { OnWorkersUnable(why); }}),
      dispatcher_(base_.get(), options_, pool_, metrics_, [this] { RenewLock(); }),
      service_manager_(base_.get()),
      drain_limit_(base_.get(), [this] { dispatcher_.CancelRunning(); }),
      last_answers_(base_.get(), [this] { AwaitLastAnswers(); }) {}

Exporter::~Exporter() = default;

Status Exporter::Start() {
  ::signal(SIGPIPE, SIG_IGN);
  GiveUpWhatIsNeverNeeded();
  RaiseDescriptorLimit();
  AdoptOrphans();
  const auto watch = [this](int number, std::function<void()> callback) {
    signals_.push_back(std::make_unique<SignalWatch>(base_.get(), number, std::move(callback)));
  };
  watch(SIGTERM, [this] { Shutdown(); });
  watch(SIGINT, [this] { Shutdown(); });
  watch(SIGHUP, [this] { (void)ReloadWebConfig(); });
  watch(SIGCHLD, [this] { ReapOrphans([this](pid_t pid) { return pool_.IsWorker(pid); }); });
  if (Status status = PrepareLock(); !status) return status;
  AddRoutes();
  if (!options_.web_config_file.empty()) {
    if (Status status = server_.LoadWebConfig(options_.web_config_file); !status) return status;
  }
  if (Status status = Listen(); !status) return status;
  return pool_.Start();
}

Status Exporter::PrepareLock() {
  const std::uint32_t slots = LockSlots(options_.lock_scope);
  if (slots == 0) return {};
  const auto created = CreateLockObjects(options_.lock_name, slots);
  if (!created) return tl::unexpected(created.error());
  auto board = LockBoard::Open(options_.lock_name, slots);
  if (!board) return tl::unexpected(board.error());
  board_ = std::move(*board);
  return {};
}

Status Exporter::Listen() {
  if (options_.systemd_socket) {
    if (Status status = server_.AdoptSystemdSockets(); !status) return status;
  } else {
    for (const std::string& text : options_.listen_addresses) {
      const auto address = ParseListenAddress(text);
      if (!address) return tl::unexpected(address.error());
      if (Status status = server_.Listen(*address); !status) return status;
    }
  }
  for (const std::string& address : server_.ListeningOn()) {
    Log(LogLevel::kInfo, "listening", {{"address", address}});
  }
  return {};
}

void Exporter::AddPage(const std::string& path, std::function<HttpResponse()> page) {
  server_.AddRoute(
      {.path = path,
       .handler = [page = std::move(page)](const std::shared_ptr<HttpExchange>& exchange) {
         exchange->Reply(page());
       }});
}

void Exporter::AddRoutes() {
  server_.AddRoute({.path = options_.probe_path,
                    .handler = [this](auto exchange) { OnProbe(exchange); },
                    .head_answer =
                        [] {
                          return HttpResponse{
                              .content_type = std::string(ContentType(ExpositionFormat::kText))};
                        }});
  server_.AddRoute(
      {.path = options_.telemetry_path, .handler = [this](auto exchange) { OnMetrics(exchange); }});
  server_.AddRoute({.path = "/-/reload", .methods = {"POST"}, .handler = [this](auto exchange) {
                      OnReload(exchange);
                    }});
  AddPage("/", [this] {
    return HttpResponse{.content_type = "text/html; charset=utf-8",
                        .body = BuildLandingPage(options_, pool_.latest_ready())};
  });
  for (const char* path : {"/health", "/-/healthy"}) AddPage(path, [this] { return HealthPage(); });
  for (const char* path : {"/ready", "/-/ready"}) AddPage(path, [this] { return ReadyPage(); });
  AddPage("/lock-status", [this] { return LockStatusPage(); });
}

void Exporter::OnProbe(const std::shared_ptr<HttpExchange>& exchange) {
  const Deadline received = Clock::now();
  const WorkerReady* worker = pool_.latest_ready();
  const auto refuse = [&](const BadRequest& bad) {
    metrics_.OnProbe(ProbeResult::kBadRequest, Clock::now() - received);
    exchange->Reply(PlainText(400, bad.message));
  };
  if (worker == nullptr) {
    metrics_.OnProbe(ProbeResult::kNoWorker, Clock::now() - received);
    return exchange->Reply(Unavailable("no worker is alive yet"));
  }
  auto request = ParseProbeRequest(exchange->query(), options_.probe_limits, worker->capabilities,
                                   worker->iperf3_version);
  if (!request) return refuse(request.error());
  std::optional<std::chrono::nanoseconds> scrape_timeout;
  if (const auto header = exchange->Header("X-Prometheus-Scrape-Timeout-Seconds"); header) {
    const auto parsed = ParseScrapeTimeout(*header);
    if (!parsed) return refuse(parsed.error());
    scrape_timeout = *parsed;
  }
  for (const std::string& name : request->ignored_parameters) {
    Log(LogLevel::kDebug, "parameter ignored", {{"parameter", name}, {"peer", exchange->peer()}});
  }
  const ProbeDispatcher::Id id = dispatcher_.NextId();
  exchange->OnDisconnect([this, id] { dispatcher_.Cancel(id); });
  dispatcher_.Start(
      id, std::move(*request), ProbeDeadline(received, scrape_timeout, options_.probe_times),
      [this, exchange](const ProbeAnswer& answer) {
        switch (answer.kind) {
          case ProbeAnswer::Kind::kTested: {
            const ExpositionFormat format = FormatFor(*exchange);
            exchange->Reply(
                {.content_type = std::string(ContentType(format)),
                 .body = BuildProbePage(answer.outcome, options_.failure_values, format)});
            break;
          }
          case ProbeAnswer::Kind::kForbidden:
            exchange->Reply(PlainText(403, "the target is not allowed"));
            break;
          case ProbeAnswer::Kind::kUnavailable:
            exchange->Reply(Unavailable(answer.reason));
            break;
        }
        TellStatus();
      });
  TellStatus();
}

void Exporter::OnMetrics(const std::shared_ptr<HttpExchange>& exchange) {
  LiveState state;
  state.probes_in_flight = dispatcher_.in_flight();
  state.queue_length = dispatcher_.waiting();
  for (std::size_t i = 0; i < state.workers.size(); ++i) {
    state.workers[i] = static_cast<std::uint32_t>(pool_.CountIn(static_cast<WorkerState>(i)));
  }
  if (const WorkerReady* ready = pool_.latest_ready(); ready != nullptr) {
    state.sandbox = ready->sandbox;
  }
  const ExpositionFormat format = FormatFor(*exchange);
  exchange->Reply({.content_type = std::string(ContentType(format)),
                   .body = metrics_.Page(format, state, server_.statistics())});
}

void Exporter::OnReload(const std::shared_ptr<HttpExchange>& exchange) {
  const Status status = ReloadWebConfig();
  exchange->Reply(status ? PlainText(200, "OK")
                         : PlainText(500, "failed to reload config: " + status.error().message));
}

HttpResponse Exporter::HealthPage() const {
  if (pool_.AnyAlive()) return PlainText(200, "OK");
  const std::string& why = pool_.latest_error();
  return PlainText(503, why.empty() ? "no worker is alive" : "no worker is alive: " + why);
}

HttpResponse Exporter::ReadyPage() const {
  if (draining_) return PlainText(503, "shutting down");
  if (!ready_) return PlainText(503, "starting");
  return PlainText(200, "Ready");
}

HttpResponse Exporter::LockStatusPage() const {
  LockStatus status;
  status.scope = options_.lock_scope;
  status.name = options_.lock_name;
  status.waiting = dispatcher_.ListWaiting();
  if (board_) {
    for (std::uint32_t slot = 0; slot < board_->slots(); ++slot) {
      if (auto holder = board_->Read(slot); holder) status.holders.push_back(std::move(*holder));
    }
    status.recoveries = board_->recoveries();
  }
  return {.content_type = "application/json",
          .body = BuildLockStatus(status, std::chrono::system_clock::now())};
}

void Exporter::OnWorkerIdle() {
  if (!ready_ && pool_.latest_ready() != nullptr) {
    ready_ = true;
    const WorkerReady& worker = *pool_.latest_ready();
    metrics_.SetIperf3Version(worker.iperf3_version);
    Log(LogLevel::kInfo, "ready",
        {{"version", kVersion}, {"iperf3", worker.iperf3_version}, {"path", options_.iperf3_path}});
    LogSandbox("worker", worker.sandbox.worker);
    LogSandbox("iperf3", worker.sandbox.iperf3);
    service_manager_.TellReady();
    TellStatus();
  }
  dispatcher_.Dispatch();
}

void Exporter::OnWorkersUnable(const std::string& why) {
  if (ready_) return;  // one that was replaced; the pool tries again
  Log(LogLevel::kError, "no worker can work", {{"detail", why}});
  exit_status_ = 1;
  EndLoop();
}

void Exporter::RenewLock() {
  Log(LogLevel::kError,
      "the lock was deleted under us and is created anew; a test that still "
      "runs under the deleted one may overlap with the next",
      {{"name", options_.lock_name}});
  if (const Status status = PrepareLock(); !status) {
    Log(LogLevel::kError, "cannot create the lock", {{"detail", status.error().message}});
  }
  pool_.Renew();
}

Status Exporter::ReloadWebConfig() {
  if (ready_) service_manager_.TellReloading();
  Status status = server_.Reload();
  if (ready_) service_manager_.TellReady();
  return status;
}

void Exporter::TellStatus() {
  service_manager_.TellStatus(std::to_string(dispatcher_.running()) + " running, " +
                              std::to_string(dispatcher_.waiting()) + " waiting");
}

int Exporter::Run() {
  ::event_base_dispatch(base_.get());
  service_manager_.TellStopping();
  pool_.Stop();
  ReapOrphans([](pid_t) { return false; });
  return exit_status_;
}

void Exporter::Shutdown() {
  if (draining_) {
    Log(LogLevel::kWarn, "ending at once");
    EndLoop();
    return;
  }
  draining_ = true;
  Log(LogLevel::kInfo, "shutting down",
      {{"running", dispatcher_.running()}, {"waiting", dispatcher_.waiting()}});
  service_manager_.TellStopping();
  server_.StopAccepting();
  drain_limit_.Start(kDrainLimit);
  dispatcher_.Drain([this] {
    last_answers_deadline_ = Clock::now() + kLastAnswersLimit;
    AwaitLastAnswers();
  });
}

void Exporter::AwaitLastAnswers() {
  if (server_.PendingRequests() == 0 || Clock::now() >= last_answers_deadline_) {
    EndLoop();
  } else {
    last_answers_.Start(kLastAnswersCheck);
  }
}

void Exporter::EndLoop() { ::event_base_loopbreak(base_.get()); }

}  // namespace iperf3_exporter
