#include "supervisor/app/endpoints.h"

#include <algorithm>
#include <utility>

#include "common/logging.h"
#include "common/resource_limit.h"
#include "common/text.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/http/client_network.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/probe_timing.h"
#include "supervisor/probe/query_string.h"
#include "supervisor/web/pages.h"

namespace iperf3_exporter {
namespace {

constexpr char kNoWorkerReady[] = "no worker is ready";

// Retry-After of a refused probe: about the duration of a short test.
constexpr char kRetryAfterSeconds[] = "5";

// Clients choose the names of unknown parameters, so only this many are remembered.
constexpr std::size_t kMaxWarnedParameters = 100;

// A larger page is sent by reference, and not compressed.
constexpr std::size_t kMaxCopiedPageBytes = std::size_t{256} << 10;

HttpResponse PlainText(int code, const std::string& line) {
  return {.code = code, .body = line + "\n"};
}

HttpResponse UnavailableRetryLater(const std::string& reason) {
  HttpResponse response = PlainText(503, reason);
  response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return response;
}

HttpResponse ResponseTo(const Refusal& refusal) {
  switch (refusal.reason) {
    case RefusalReason::kBadRequest:
      return PlainText(400, refusal.text);
    case RefusalReason::kForbidden:
      return PlainText(403, refusal.text);
    default:
      return UnavailableRetryLater(refusal.text);
  }
}

ExpositionFormat FormatFor(const HttpExchange& exchange) {
  return NegotiateFormat(exchange.Header("Accept").value_or(""));
}

// "iperf.example.org:5201", at most a few of them. Empty: nobody holds the lock any more.
std::string HoldersText(const LockMonitor::Status& lock) {
  constexpr std::size_t kMaxShown = 4;
  std::vector<std::string> holders;
  for (const auto& holder : lock.holders) {
    if (holder && holders.size() < kMaxShown) {
      holders.push_back(holder->target + ":" + std::to_string(holder->port));
    }
  }
  return Join(holders, ",");
}

ReloadState StateOf(const char* name, const ReloadableFile& file) {
  return {name, file.last_reload_successful(), file.last_reload_success_seconds()};
}

}  // namespace

void Endpoints::AddPage(const std::string& path, std::function<HttpResponse()> page) {
  context_.server.AddRoute(
      {.path = path,
       .handler = [page = std::move(page)](const std::shared_ptr<HttpExchange>& exchange) {
         exchange->Reply(page());
       }});
}

void Endpoints::AddRoutes() {
  HttpServer& server = context_.server;
  server.AddRoute({.path = context_.options.probe_path,
                   .handler = [this](const auto& exchange) { OnProbe(exchange); }});
  server.AddRoute({.path = context_.options.telemetry_path,
                   .handler = [this](const auto& exchange) { OnMetrics(exchange); }});
  server.AddRoute({.path = context_.options.results_path,
                   .handler = [this](const auto& exchange) { results_.Serve(exchange); }});
  server.AddRoute({.path = "/-/reload",
                   .methods = {"POST"},
                   .handler = [this](const auto& exchange) { OnReload(exchange); }});
  AddPage("/", [this] {
    const WorkerReady* worker = context_.pool.latest_ready();
    const std::string version = worker == nullptr ? "" : worker->iperf3.version;
    return HttpResponse{.content_type = "text/html; charset=utf-8",
                        .body = BuildLandingPage(context_.options, version,
                                                 worker == nullptr ? nullptr : &worker->sandbox)};
  });
  for (const char* path : {"/health", "/-/healthy"}) AddPage(path, [this] { return HealthPage(); });
  for (const char* path : {"/ready", "/-/ready"}) AddPage(path, [this] { return ReadyPage(); });
  AddPage("/lock-status", [this] { return LockStatusPage(); });
  AddPage("/config", [this] {
    const auto& page = context_.module_store.page();
    if (page->size() > kMaxCopiedPageBytes) return HttpResponse{.shared_body = page};
    return HttpResponse{.body = *page};
  });
}

void Endpoints::Refuse(HttpExchange& exchange, const Refusal& refusal) {
  HttpResponse response = ResponseTo(refusal);
  std::vector<LogField> fields;
  if (!refusal.target.empty()) fields.emplace_back("target", refusal.target);
  if (refusal.port != 0) fields.emplace_back("port", refusal.port);
  fields.insert(fields.end(), {{"peer", exchange.peer()}, {"status", response.code}});
  if (!refusal.detail.empty()) fields.emplace_back("detail", refusal.detail);
  if (refusal.reason == RefusalReason::kLockTimeout && context_.lock_monitor) {
    if (std::string holders = HoldersText(context_.lock_monitor->Read()); !holders.empty()) {
      fields.emplace_back("holders", std::move(holders));
    }
  }
  fields.emplace_back("text", refusal.text);
  refusals_.Add(Name(refusal.reason), fields);
  exchange.Reply(response);
  context_.metrics.OnRefusal(refusal.reason, Clock::now() - exchange.received_at());
}

void Endpoints::OnProbe(const std::shared_ptr<HttpExchange>& exchange) {
  if (exchange->method() == "HEAD") {  // HEAD runs no test, so the length is unknown.
    return exchange->Reply(
        {.content_type = std::string(ContentType(FormatFor(*exchange))), .length_known = false});
  }
  const TimePoint received = exchange->received_at();
  std::optional<std::chrono::nanoseconds> scrape_timeout;
  if (const auto header = exchange->Header("X-Prometheus-Scrape-Timeout-Seconds"); header) {
    const auto parsed = ParseScrapeTimeout(*header);
    if (!parsed) return Refuse(*exchange, {RefusalReason::kBadRequest, parsed.error().message});
    scrape_timeout = *parsed;
  }
  const WorkerReady* worker = context_.pool.latest_ready();
  if (worker == nullptr && context_.state == LifecycleState::kStarting) {
    return Hold(exchange, ProbeDeadline(received, scrape_timeout, context_.options.probe_times));
  }
  if (worker == nullptr) return Refuse(*exchange, {RefusalReason::kNoWorker, kNoWorkerReady});
  auto request =
      ParseProbeRequest(exchange->query(), *context_.module_store.modules(), worker->iperf3);
  if (!request) return Refuse(*exchange, request.error());
  request->client = ClientNetwork(exchange->peer());
  WarnAboutIgnoredParameters(*request, exchange->peer());
  const ProbeTimes& times = request->module->times;
  const ProbeDispatcher::Id id = context_.dispatcher.Start(
      std::move(*request), received, ProbeDeadline(received, scrape_timeout, times),
      [this, exchange](const ProbeOutcome& outcome) { Respond(*exchange, outcome); });
  exchange->OnDisconnect([this, id, received] {
    if (context_.dispatcher.Cancel(id)) context_.metrics.OnCancelled(Clock::now() - received);
  });
}

void Endpoints::Hold(const std::shared_ptr<HttpExchange>& exchange, Deadline deadline) {
  if (const std::size_t max = context_.options.max_queued; CountWaiting() >= max) {
    return Refuse(*exchange, {RefusalReason::kQueueFull, QueueFullText(max)});
  }
  exchange->OnDisconnect([this, received = exchange->received_at()] {
    context_.metrics.OnCancelled(Clock::now() - received);
  });
  auto timer = std::make_unique<Timer>(context_.base, [this, held = exchange.get()] {
    if (held->IsPending()) Refuse(*held, {RefusalReason::kNoWorker, kNoWorkerReady});
  });
  timer->Start(TimeLeft(deadline));
  early_probes_.push_back({exchange, std::move(timer)});
}

void Endpoints::StartEarlyProbes() {
  for (const EarlyProbe& probe : std::exchange(early_probes_, {})) {
    if (probe.exchange->IsPending()) OnProbe(probe.exchange);
  }
}

void Endpoints::Respond(HttpExchange& exchange, const ProbeOutcome& outcome) {
  if (!outcome) return Refuse(exchange, outcome.error());
  const ExpositionFormat format = FormatFor(exchange);
  exchange.Reply({.content_type = std::string(ContentType(format)),
                  .body = BuildProbePage(*outcome, context_.options.probe_page, format)});
  context_.metrics.OnReport(*outcome);
}

void Endpoints::WarnAboutIgnoredParameters(const ProbeRequest& request, const std::string& peer) {
  for (const std::string& name : request.ignored_parameters) {
    if (warned_parameters_.size() == kMaxWarnedParameters) return;
    if (!warned_parameters_.insert(name.substr(0, kMaxQuotedValueBytes)).second) continue;
    Log(LogLevel::kWarn, "unknown parameter ignored",
        {{"parameter", name}, {"target", request.target}, {"peer", peer}});
  }
}

void Endpoints::OnMetrics(const std::shared_ptr<HttpExchange>& exchange) {
  LiveState state;
  state.probes_in_flight = context_.dispatcher.CountRunning();
  state.queue_length = CountWaiting();
  for (std::size_t i = 0; i < state.workers.size(); ++i) {
    state.workers[i] =
        static_cast<std::uint32_t>(context_.pool.CountIn(static_cast<WorkerState>(i)));
  }
  state.sandbox = context_.pool.WeakestSandbox();
  state.supervisor_sandbox = context_.supervisor_layers;
  state.log_lines_lost = CountLostLogLines();
  state.reloads = {
      {StateOf("web", context_.web_config), StateOf("config", context_.module_store.file())}};
  const ExpositionFormat format = FormatFor(*exchange);
  const auto page = context_.metrics.Page(format, state, context_.server.statistics());
  if (!page) {
    Log(LogLevel::kError, "building the metrics page failed", {{"detail", page.error().message}});
    return exchange->Reply(PlainText(500, page.error().message));
  }
  exchange->Reply({.content_type = std::string(ContentType(format)), .body = **page});
}

void Endpoints::OnReload(const std::shared_ptr<HttpExchange>& exchange) {
  context_.reload([exchange](const Status& status) {
    exchange->Reply(status ? PlainText(200, "OK")
                           : PlainText(500, "failed to reload config: " + status.error().message));
  });
}

std::size_t Endpoints::CountWaiting() const {
  const auto early = std::ranges::count_if(
      early_probes_, [](const EarlyProbe& probe) { return probe.exchange->IsPending(); });
  return context_.dispatcher.CountWaiting() + static_cast<std::size_t>(early);
}

HttpResponse Endpoints::HealthPage() const {
  if (context_.state == LifecycleState::kStarting && !context_.pool.latest_error()) {
    return PlainText(503, "starting");
  }
  if (const std::string text = context_.pool.NoTestText(); !text.empty())
    return PlainText(503, text);
  // Tasks may have been used up since the last test.
  if (const Status started = TryStartProcess(); !started) {
    return PlainText(503, "no process can be started (TasksMax=, pids.max, ulimit -u): " +
                              started.error().message);
  }
  return PlainText(200, "OK");
}

HttpResponse Endpoints::ReadyPage() const {
  switch (context_.state) {
    case LifecycleState::kStarting:
      return PlainText(503, "starting");
    case LifecycleState::kDraining:
      return PlainText(503, "shutting down");
    case LifecycleState::kReady:
      break;
  }
  return PlainText(200, "Ready");
}

HttpResponse Endpoints::LockStatusPage() const {
  LockStatus status;
  status.scope = context_.options.lock_scope;
  status.name = context_.options.lock_name;
  status.queue_size = CountWaiting();
  status.waiting = context_.dispatcher.ListWaiting(kMaxListedWaiting);
  if (context_.lock_monitor) status.lock = context_.lock_monitor->Read();
  return {.content_type = "application/json",
          .body = BuildLockStatus(status, std::chrono::system_clock::now())};
}

}  // namespace iperf3_exporter
