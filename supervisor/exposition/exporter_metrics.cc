#include "supervisor/exposition/exporter_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>

#include <algorithm>
#include <exception>
#include <map>
#include <utility>
#include <vector>

#include "common/build_info.h"
#include "common/deadline.h"
#include "common/text.h"
#include "supervisor/exposition/exposition_text.h"
#include "supervisor/exposition/family_builder.h"
#include "supervisor/exposition/process_collector.h"

namespace iperf3_exporter {
namespace {

using prometheus::Counter;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Reading /proc costs more than the rest of the page.
constexpr std::chrono::milliseconds kProcessMaxAge{100};

// From the wakeup of a waiting worker to the default of --lock.timeout.
const prometheus::Histogram::BucketBoundaries kLockWaitSeconds = {
    0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80};

// A part of the page in both forms. Each is written when it is requested and no longer fresh.
class PagePart {
 public:
  void Expire() { fresh_.fill(false); }

  // `collect` returns the families; it is called only when the text has to be written again.
  template <typename Collect>
  const std::string& Text(ExpositionFormat format, const Collect& collect) {
    const auto at = static_cast<std::size_t>(format);
    if (!fresh_[at]) {
      texts_[at].clear();
      AppendFamilies(collect(), format, texts_[at]);
      fresh_[at] = true;
    }
    return texts_[at];
  }

 private:
  std::array<std::string, 2> texts_;
  std::array<bool, 2> fresh_{};
};

template <std::size_t N>
std::array<Counter*, N> AddCounters(prometheus::Family<Counter>& family, const std::string& label,
                                    const std::array<std::string_view, N>& values) {
  std::array<Counter*, N> counters{};
  for (std::size_t i = 0; i < N; ++i) counters[i] = &family.Add({{label, std::string(values[i])}});
  return counters;
}

void AddLayer(MetricFamily& family, const char* process, std::size_t layer, LayerState state) {
  AddSample(family, {{"process", process}, {"layer", std::string(kSandboxLayerNames[layer])}},
            state == LayerState::kEnabled ? 1 : 0);
}

void AddLayers(MetricFamily& family, const char* process, const LayerStates& states) {
  for (std::size_t i = 0; i < kSandboxLayerCount; ++i) AddLayer(family, process, i, states[i]);
}

std::vector<MetricFamily> LiveFamilies(const LiveState& state) {
  std::vector<MetricFamily> families;
  const auto add = [&families](const char* name, const char* help, double value) {
    AddFamily(families, MetricType::Gauge, name, help, value);
  };
  add("iperf3_exporter_probes_in_flight", "Probes whose test runs.",
      static_cast<double>(state.probes_in_flight));
  add("iperf3_exporter_queue_length", "Probes that wait for their turn.",
      static_cast<double>(state.queue_length));
  add("iperf3_exporter_config_last_reload_successful",
      "Whether the last reading of the web configuration succeeded: 1 or 0.",
      state.last_reload_successful ? 1 : 0);
  add("iperf3_exporter_config_last_reload_success_timestamp_seconds",
      "When the web configuration was last read with success, since unix epoch in seconds.",
      state.last_reload_success_seconds);
  MetricFamily& workers = families.emplace_back(
      BuildFamily(MetricType::Gauge, "iperf3_exporter_workers", "Worker processes by state."));
  for (std::size_t i = 0; i < kWorkerStateNames.size(); ++i) {
    AddSample(workers, {{"state", std::string(kWorkerStateNames[i])}}, state.workers[i]);
  }
  MetricFamily& layers =
      families.emplace_back(BuildFamily(MetricType::Gauge, "iperf3_exporter_sandbox_layer",
                                        "Whether a sandbox layer is enabled: 1 or 0."));
  for (std::size_t i = 0; i < kSandboxLayerCount; ++i) {
    if (state.supervisor_sandbox[i] == LayerState::kNotOffered) continue;
    AddLayer(layers, "supervisor", i, state.supervisor_sandbox[i]);
  }
  if (state.sandbox) {
    AddLayers(layers, "worker", state.sandbox->worker);
    AddLayers(layers, "iperf3", state.sandbox->iperf3);
  }
  return families;
}

std::vector<MetricFamily> HttpFamilies(const HttpStatistics& http) {
  std::vector<MetricFamily> families;
  families.reserve(3);
  MetricFamily& requests =
      families.emplace_back(BuildFamily(MetricType::Counter, "iperf3_exporter_http_requests_total",
                                        "Answered requests by path and status code."));
  requests.metric.reserve(http.requests.size());
  for (const auto& [key, count] : http.requests) {
    AddSample(requests, {{"path", key.first}, {"code", std::to_string(key.second)}},
              static_cast<double>(count));
  }
  AddFamily(families, MetricType::Gauge, "iperf3_exporter_http_connections",
            "Open connections of clients.", static_cast<double>(http.connections));
  AddFamily(families, MetricType::Counter, "iperf3_exporter_http_connections_rejected_total",
            "Connections that were closed because of a limit.",
            static_cast<double>(http.connections_rejected));
  return families;
}

}  // namespace

class ExporterMetrics::Impl {
 public:
  Impl() {
    prometheus::BuildGauge()
        .Name("iperf3_exporter_build_info")
        .Help("1, with what was built.")
        .Register(registry_)
        .Add({{"version", kVersion}, {"revision", kRevision}, {"build_type", kBuildType}})
        .Set(1);
  }

  void OnReport(const ProbeReport& report) {
    duration_.Observe(ToSeconds(report.duration));
    if (report.result) {
      success_.Increment();
      implausible_.Increment(report.result->implausible_values);
    } else {
      failure_.Increment();
      errors_.Increment();
      failures_[static_cast<std::size_t>(report.result.error().reason)]->Increment();
    }
    events_.Expire();
  }

  void OnRefusal(RefusalReason reason, std::chrono::nanoseconds duration) {
    refusals_[static_cast<std::size_t>(reason)]->Increment();
    errors_.Increment();
    // A request that was refused for what it asked is no probe; it would only lower the mean.
    if (reason != RefusalReason::kBadRequest && reason != RefusalReason::kForbidden) {
      duration_.Observe(ToSeconds(duration));
    }
    events_.Expire();
  }

  void OnCancelled(std::chrono::nanoseconds duration) {
    cancelled_.Increment();
    duration_.Observe(ToSeconds(duration));
    events_.Expire();
  }

  void Count(Counter& counter) {
    counter.Increment();
    events_.Expire();
  }

  void OnLockWait(std::chrono::nanoseconds wait) {
    lock_wait_.Observe(ToSeconds(wait));
    events_.Expire();
  }

  void SetIperf3Version(std::string_view version) {
    if (iperf3_ != nullptr) iperf3_info_.Remove(iperf3_);
    // A worker said it, and a worker is not trusted with the page.
    iperf3_ = &iperf3_info_.Add({{"version", ToPrintable(version)}});
    iperf3_->Set(1);
    events_.Expire();
  }

  std::shared_ptr<const std::string> Page(ExpositionFormat format, const LiveState& state,
                                          const HttpStatistics& http) {
    if (!(state == state_)) {
      state_ = state;
      live_.Expire();
    }
    const Clock::time_point now = Clock::now();
    if (process_families_.empty() || now - process_read_ >= kProcessMaxAge) {
      process_read_ = now;
      process_families_ = process_collector_.Collect();
      process_.Expire();
    }
    const std::string& events = events_.Text(format, [this] { return EventFamilies(); });
    const std::string& live = live_.Text(format, [this] { return LiveFamilies(state_); });
    const std::string& process = process_.Text(
        format, [this]() -> const auto& { return process_families_; });
    auto page = std::make_shared<std::string>();
    page->reserve(events.size() + live.size() + process.size() + last_http_bytes_ + kSlackBytes);
    page->append(events).append(live).append(process);
    const std::size_t http_begin = page->size();
    AppendFamilies(HttpFamilies(http), format, *page);
    last_http_bytes_ = page->size() - http_begin;
    AppendEnd(format, *page);
    return page;
  }

  Counter& restart(WorkerRestart reason) { return *restarts_[static_cast<std::size_t>(reason)]; }
  Counter& lock_timeouts() { return lock_timeouts_; }
  Counter& lock_recoveries() { return lock_recoveries_; }

 private:
  // For numbers that have become longer since the last page.
  static constexpr std::size_t kSlackBytes = 256;

  prometheus::Family<Counter>& CounterFamily(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry_);
  }

  // prometheus-cpp returns the samples of a family in no particular order.
  std::vector<MetricFamily> EventFamilies() const {
    std::vector<MetricFamily> families = registry_.Collect();
    for (MetricFamily& family : families) {
      std::sort(family.metric.begin(), family.metric.end(),
                [](const auto& a, const auto& b) { return a.label < b.label; });
    }
    return families;
  }

  prometheus::Registry registry_;
  prometheus::Summary& duration_ = prometheus::BuildSummary()
                                       .Name("iperf3_exporter_duration_seconds")
                                       .Help("Time from a request for a probe to its answer.")
                                       .Register(registry_)
                                       .Add({}, prometheus::Summary::Quantiles{});
  Counter& errors_ = CounterFamily("iperf3_exporter_errors_total",
                                   "Requests for a probe that gave no measurement.")
                         .Add({});
  prometheus::Family<Counter>& probes_ =
      CounterFamily("iperf3_exporter_probes_total", "Requests for a probe by how they ended.");
  Counter& success_ = probes_.Add({{"result", "success"}});
  Counter& failure_ = probes_.Add({{"result", "failure"}});
  Counter& cancelled_ = probes_.Add({{"result", "cancelled"}});
  std::array<Counter*, kRefusalReasonNames.size()> refusals_ =
      AddCounters(probes_, "result", kRefusalReasonNames);
  std::array<Counter*, kFailureReasonNames.size()> failures_ = AddCounters(
      CounterFamily("iperf3_exporter_probe_failures_total",
                    "Probes that gave no measurement though they were allowed, by reason."),
      "reason", kFailureReasonNames);
  Counter& lock_timeouts_ = CounterFamily("iperf3_exporter_lock_timeouts_total",
                                          "Probes that did not get the lock in time.")
                                .Add({});
  Counter& lock_recoveries_ =
      CounterFamily("iperf3_exporter_lock_recoveries_total",
                    "Locks that were taken over from a holder that had died.")
          .Add({});
  std::array<Counter*, kWorkerRestartNames.size()> restarts_ =
      AddCounters(CounterFamily("iperf3_exporter_worker_restarts_total",
                                "Workers that had to be restarted, by reason."),
                  "reason", kWorkerRestartNames);
  Counter& implausible_ =
      CounterFamily("iperf3_exporter_implausible_values_total",
                    "Numbers of reports that were left out because they can't be true.")
          .Add({});
  prometheus::Histogram& lock_wait_ = prometheus::BuildHistogram()
                                          .Name("iperf3_exporter_lock_wait_seconds")
                                          .Help("Time that probes waited for the lock.")
                                          .Register(registry_)
                                          .Add({}, kLockWaitSeconds);
  prometheus::Family<prometheus::Gauge>& iperf3_info_ =
      prometheus::BuildGauge()
          .Name("iperf3_exporter_iperf3_info")
          .Help("1, with the version of the installed iperf3.")
          .Register(registry_);
  prometheus::Gauge* iperf3_ = nullptr;

  PagePart events_;
  LiveState state_;
  PagePart live_;
  ProcessCollector process_collector_;
  Clock::time_point process_read_;
  std::vector<MetricFamily> process_families_;
  PagePart process_;
  std::size_t last_http_bytes_ = 0;
};

ExporterMetrics::ExporterMetrics() : impl_(std::make_unique<Impl>()) {}
ExporterMetrics::~ExporterMetrics() = default;

void ExporterMetrics::OnReport(const ProbeReport& report) { impl_->OnReport(report); }
void ExporterMetrics::OnRefusal(RefusalReason reason, std::chrono::nanoseconds duration) {
  impl_->OnRefusal(reason, duration);
}
void ExporterMetrics::OnCancelled(std::chrono::nanoseconds duration) {
  impl_->OnCancelled(duration);
}
void ExporterMetrics::OnLockWait(std::chrono::nanoseconds wait) { impl_->OnLockWait(wait); }
void ExporterMetrics::OnLockTimeout() { impl_->Count(impl_->lock_timeouts()); }
void ExporterMetrics::OnLockRecovery() { impl_->Count(impl_->lock_recoveries()); }
void ExporterMetrics::OnWorkerRestart(WorkerRestart reason) {
  impl_->Count(impl_->restart(reason));
}
void ExporterMetrics::SetIperf3Version(std::string_view version) {
  impl_->SetIperf3Version(version);
}

Result<std::shared_ptr<const std::string>> ExporterMetrics::Page(ExpositionFormat format,
                                                                 const LiveState& state,
                                                                 const HttpStatistics& http) {
  try {
    return impl_->Page(format, state, http);
  } catch (const std::exception& exception) {
    return MakeError(std::string("cannot build the metrics: ") + exception.what());
  }
}

}  // namespace iperf3_exporter
