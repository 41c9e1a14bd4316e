#include "supervisor/exposition/exporter_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/summary.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>

#include "common/build_info.h"
#include "common/text.h"
#include "supervisor/exposition/exposition_writer.h"

namespace iperf3_exporter {
namespace {

using prometheus::Counter;
using prometheus::MetricType;

// How old the page may be: reading /proc costs more than writing the rest.
constexpr std::chrono::milliseconds kMaxCacheAge{100};

// From the time that it takes to wake a worker up to the default of --lock.timeout.
const prometheus::Histogram::BucketBoundaries kLockWaitSeconds = {
    0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80};

// One sample for each value of a label.
template <typename Counters, typename Names>
void AddSamples(const char* label, const Names& names, const Counters& counters,
                ExpositionWriter& writer) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    writer.AddSample({{label, names[i]}}, counters[i].Value());
  }
}

void WriteState(const LiveState& state, ExpositionWriter& writer) {
  writer.AddFamily("iperf3_exporter_probes_in_flight", MetricType::Gauge,
                   "Probes whose test is running.", static_cast<double>(state.probes_in_flight));
  writer.AddFamily("iperf3_exporter_queue_length", MetricType::Gauge,
                   "Probes waiting in the queue.", static_cast<double>(state.queue_length));
  writer.AddFamily("iperf3_exporter_log_lines_lost_total", MetricType::Counter,
                   "Log lines lost because standard error was not ready.",
                   static_cast<double>(state.log_lines_lost));
  writer.StartFamily("iperf3_exporter_config_last_reload_successful", MetricType::Gauge,
                     "Whether the last reload of the configuration file succeeded: 1 or 0.");
  for (const ReloadState& reload : state.reloads) {
    writer.AddSample({{"file", reload.file}}, reload.last_successful ? 1 : 0);
  }
  writer.StartFamily("iperf3_exporter_config_last_reload_success_timestamp_seconds",
                     MetricType::Gauge,
                     "Unix time of the last successful load of the file, in seconds.");
  for (const ReloadState& reload : state.reloads) {
    writer.AddSample({{"file", reload.file}}, reload.last_success_seconds);
  }
  writer.StartFamily("iperf3_exporter_workers", MetricType::Gauge, "Worker processes by state.");
  for (std::size_t i = 0; i < kWorkerStateNames.size(); ++i) {
    writer.AddSample({{"state", kWorkerStateNames[i]}}, state.workers[i]);
  }
  writer.StartFamily("iperf3_exporter_sandbox_layer", MetricType::Gauge,
                     "Whether the sandbox layer is enabled: 1 or 0.");
  const auto add_layer = [&writer](const char* process, std::size_t layer, LayerState layer_state) {
    writer.AddSample({{"process", process}, {"layer", kSandboxLayerNames[layer]}},
                     layer_state == LayerState::kEnabled ? 1 : 0);
  };
  for (std::size_t i = 0; i < kSandboxLayerCount; ++i) {
    const LayerState supervisor = state.supervisor_sandbox[i];
    if (supervisor != LayerState::kNotOffered) add_layer("supervisor", i, supervisor);
    if (!state.sandbox) continue;
    add_layer("worker", i, state.sandbox->worker[i]);
    add_layer("iperf3", i, state.sandbox->iperf3[i]);
  }
}

void WriteHttp(const HttpStatistics& http, ExpositionWriter& writer) {
  writer.StartFamily("iperf3_exporter_http_requests_total", MetricType::Counter,
                     "HTTP requests answered by path and status code.");
  for (const auto& [key, count] : http.requests) {
    writer.AddSample({{"path", key.first}, {"code", std::to_string(key.second)}},
                     static_cast<double>(count));
  }
  writer.AddFamily("iperf3_exporter_http_connections", MetricType::Gauge, "Open HTTP connections.",
                   static_cast<double>(http.connections));
  writer.AddFamily("iperf3_exporter_http_connections_rejected_total", MetricType::Counter,
                   "HTTP connections closed because of a limit.",
                   static_cast<double>(http.connections_rejected));
}

std::optional<double> CountDescriptors() {
  struct stat status {};
  if (::stat("/proc/self/fd", &status) != 0) return std::nullopt;
  // Linux 6.2 and later report the count as the size of the directory.
  if (status.st_size > 0) return static_cast<double>(status.st_size);
  std::error_code error;  // such as EMFILE
  const std::filesystem::directory_iterator directory("/proc/self/fd", error);
  if (error) return std::nullopt;
  // One of them is the descriptor of the listing itself.
  return static_cast<double>(std::distance(begin(directory), end(directory)) - 1);
}

double SoftLimit(__rlimit_resource resource) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<double>::infinity()
                                         : static_cast<double>(limit.rlim_cur);
}

// What every Prometheus client library exports. A value that can't be read is omitted.
void WriteProcess(double start_seconds, ExpositionWriter& writer) {
  writer.AddFamily("process_cpu_seconds_total", MetricType::Counter,
                   "Total user and system CPU time spent in seconds.",
                   static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
  writer.AddFamily("process_open_fds", MetricType::Gauge, "Number of open file descriptors.",
                   CountDescriptors());
  writer.AddFamily("process_max_fds", MetricType::Gauge, "Maximum number of open file descriptors.",
                   SoftLimit(RLIMIT_NOFILE));
  writer.AddFamily("process_virtual_memory_max_bytes", MetricType::Gauge,
                   "Maximum amount of virtual memory available in bytes.", SoftLimit(RLIMIT_AS));
  writer.AddFamily("process_start_time_seconds", MetricType::Gauge,
                   "Start time of the process since unix epoch in seconds.", start_seconds);
  std::ifstream statm("/proc/self/statm");
  double virtual_pages = 0;
  double resident_pages = 0;
  if (!(statm >> virtual_pages >> resident_pages)) return;
  const auto page_bytes = static_cast<double>(::sysconf(_SC_PAGESIZE));
  writer.AddFamily("process_virtual_memory_bytes", MetricType::Gauge,
                   "Virtual memory size in bytes.", virtual_pages * page_bytes);
  writer.AddFamily("process_resident_memory_bytes", MetricType::Gauge,
                   "Resident memory size in bytes.", resident_pages * page_bytes);
}

}  // namespace

struct ExporterMetrics::Events {
  prometheus::Summary duration{prometheus::Summary::Quantiles{}};
  prometheus::Histogram lock_wait{kLockWaitSeconds};
  Counter errors;
  Counter success;
  Counter failure;
  Counter cancelled;
  std::array<Counter, kRefusalReasonNames.size()> refusals;
  std::array<Counter, kFailureReasonNames.size()> failures;
  std::array<Counter, kWorkerRestartNames.size()> restarts;
  Counter lock_timeouts;
  Counter lock_recoveries;
  Counter implausible;
  std::string iperf3_version;
  const double start_seconds = UnixSeconds();

  void Write(ExpositionWriter& writer) const;
};

void ExporterMetrics::Events::Write(ExpositionWriter& writer) const {
  const auto add_counter = [&writer](const char* name, const char* help, const Counter& counter) {
    writer.AddFamily(name, MetricType::Counter, help, counter.Value());
  };
  writer.StartFamily("iperf3_exporter_build_info", MetricType::Gauge,
                     "Version of the exporter; the value is always 1.");
  writer.AddSample({{"build_type", kBuildType}, {"revision", kRevision}, {"version", kVersion}}, 1);
  writer.StartFamily("iperf3_exporter_iperf3_info", MetricType::Gauge,
                     "Version of the installed iperf3; the value is always 1.");
  if (!iperf3_version.empty()) writer.AddSample({{"version", iperf3_version}}, 1);
  writer.AddSummary(
      "iperf3_exporter_duration_seconds",
      "Time from a probe request to its end, without requests that were invalid or forbidden.",
      duration);
  add_counter("iperf3_exporter_errors_total", "Probe requests that failed or were refused.",
              errors);
  writer.StartFamily("iperf3_exporter_probes_total", MetricType::Counter,
                     "Probe requests by result.");
  writer.AddSample({{"result", "success"}}, success.Value());
  writer.AddSample({{"result", "failure"}}, failure.Value());
  writer.AddSample({{"result", "cancelled"}}, cancelled.Value());
  AddSamples("result", kRefusalReasonNames, refusals, writer);
  writer.StartFamily("iperf3_exporter_probe_failures_total", MetricType::Counter,
                     "Failed probes by reason.");
  AddSamples("reason", kFailureReasonNames, failures, writer);
  add_counter("iperf3_exporter_lock_timeouts_total",
              "Probes that did not acquire the lock in time.", lock_timeouts);
  add_counter("iperf3_exporter_lock_recoveries_total", "Locks recovered from a holder that died.",
              lock_recoveries);
  writer.AddHistogram("iperf3_exporter_lock_wait_seconds", "Time that probes waited for the lock.",
                      lock_wait);
  writer.StartFamily("iperf3_exporter_worker_restarts_total", MetricType::Counter,
                     "Worker restarts by reason.");
  AddSamples("reason", kWorkerRestartNames, restarts, writer);
  add_counter("iperf3_exporter_implausible_values_total",
              "Numbers that were left out of a result because they cannot be true.", implausible);
}

ExporterMetrics::ExporterMetrics() : events_(std::make_unique<Events>()) {}
ExporterMetrics::~ExporterMetrics() = default;

ExporterMetrics::Events& ExporterMetrics::MutableEvents() {
  cache_ = {};
  return *events_;
}

void ExporterMetrics::OnReport(const ProbeReport& report) {
  Events& events = MutableEvents();
  events.duration.Observe(ToSeconds(report.duration));
  if (report.result) {
    events.success.Increment();
    events.implausible.Increment(report.result->implausible_values);
  } else {
    events.failure.Increment();
    events.errors.Increment();
    events.failures[static_cast<std::size_t>(report.result.error().reason)].Increment();
  }
}

void ExporterMetrics::OnRefusal(RefusalReason reason, std::chrono::nanoseconds duration) {
  Events& events = MutableEvents();
  events.refusals[static_cast<std::size_t>(reason)].Increment();
  events.errors.Increment();
  // These never waited for a test, and would only lower the mean.
  if (reason != RefusalReason::kBadRequest && reason != RefusalReason::kForbidden) {
    events.duration.Observe(ToSeconds(duration));
  }
}

void ExporterMetrics::OnCancelled(std::chrono::nanoseconds duration) {
  Events& events = MutableEvents();
  events.cancelled.Increment();
  events.duration.Observe(ToSeconds(duration));
}

void ExporterMetrics::OnLockWait(std::chrono::nanoseconds wait) {
  MutableEvents().lock_wait.Observe(ToSeconds(wait));
}

void ExporterMetrics::OnLockTimeout() { MutableEvents().lock_timeouts.Increment(); }

void ExporterMetrics::OnLockRecovery() { MutableEvents().lock_recoveries.Increment(); }

void ExporterMetrics::OnWorkerRestart(WorkerRestart reason) {
  MutableEvents().restarts[static_cast<std::size_t>(reason)].Increment();
}

void ExporterMetrics::SetIperf3Version(std::string_view version) {
  // It comes from a worker, which must not be able to inject text into the page.
  MutableEvents().iperf3_version = ToPrintable(version);
}

Result<std::shared_ptr<const std::string>> ExporterMetrics::Page(ExpositionFormat format,
                                                                 const LiveState& state,
                                                                 const HttpStatistics& http) {
  constexpr std::size_t kTypicalHttpSectionBytes = 2048;
  const TimePoint now = Clock::now();
  if (state != cached_state_ || now - cached_at_ >= kMaxCacheAge) {
    cache_ = {};
    cached_state_ = state;
    cached_at_ = now;
  }
  try {
    std::string& cached = cache_[static_cast<std::size_t>(format)];
    if (cached.empty()) {
      std::string text;
      ExpositionWriter writer(format, text);
      events_->Write(writer);
      WriteState(state, writer);
      WriteProcess(events_->start_seconds, writer);
      cached = std::move(text);
    }
    auto page = std::make_shared<std::string>();
    page->reserve(cached.size() + kTypicalHttpSectionBytes);
    page->append(cached);
    ExpositionWriter writer(format, *page);
    WriteHttp(http, writer);
    writer.EndPage();
    return page;
  } catch (const std::exception& exception) {
    return MakeError(std::string("cannot build the metrics: ") + exception.what());
  }
}

}  // namespace iperf3_exporter
