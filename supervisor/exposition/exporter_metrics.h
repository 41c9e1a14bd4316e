// The exporter's own metrics (docs/REFERENCE.md) and the page of /metrics.
//
// Events are counted when they happen; states are passed in when the page is requested. Loop thread
// only. Never blocks (reads /proc).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/deadline.h"
#include "common/error.h"
#include "common/sandbox_layer.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/http/http_types.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/workers/worker_state.h"

namespace iperf3_exporter {

// Of one configuration file.
struct ReloadState {
  std::string_view file;  // a literal
  bool last_successful = true;
  double last_success_seconds = 0;  // Unix time

  bool operator==(const ReloadState&) const = default;
};

// The state at the moment of the scrape.
struct LiveState {
  std::size_t probes_in_flight = 0;
  std::size_t queue_length = 0;
  std::array<std::uint32_t, kWorkerStateNames.size()> workers{};  // by WorkerState
  // A layer is enabled if every living worker has it. Absent while no worker is alive.
  std::optional<SandboxReport> sandbox;
  // A layer that the supervisor does without is kNotOffered and has no sample.
  LayerStates supervisor_sandbox{};
  std::uint64_t log_lines_lost = 0;  // by the supervisor
  std::array<ReloadState, 2> reloads = {{{.file = "web"}, {.file = "config"}}};

  bool operator==(const LiveState&) const = default;
};

class ExporterMetrics {
 public:
  ExporterMetrics();
  ~ExporterMetrics();
  ExporterMetrics(const ExporterMetrics&) = delete;
  ExporterMetrics& operator=(const ExporterMetrics&) = delete;

  // How a probe request ended, and how long after it arrived. Failed tests and refusals count as
  // errors, cancellations by the scraper do not.
  void OnReport(const ProbeReport& report);
  void OnRefusal(RefusalReason reason, std::chrono::nanoseconds duration);
  void OnCancelled(std::chrono::nanoseconds duration);
  // A probe that waited for a lock has ended, whether or not it acquired the lock.
  void OnLockWait(std::chrono::nanoseconds wait);
  void OnLockTimeout();
  void OnLockRecovery();
  void OnWorkerRestart(WorkerRestart reason);
  // For iperf3_exporter_iperf3_info; a new version replaces the old one.
  void SetIperf3Version(std::string_view version);

  // The complete page. process_* may be up to 100 ms old. Exceptions (of prometheus-cpp, or for
  // lack of memory) become an Error.
  [[nodiscard]] Result<std::shared_ptr<const std::string>> Page(ExpositionFormat format,
                                                                const LiveState& state,
                                                                const HttpStatistics& http);

 private:
  struct Events;
  // The counters, for an event: the cached page is no longer valid.
  [[nodiscard]] Events& MutableEvents();

  std::unique_ptr<Events> events_;
  // The page without the HTTP counters, by format; empty: invalid. Cached because a page is
  // requested far more often than a probe ends.
  std::array<std::string, 2> cache_;
  LiveState cached_state_;
  TimePoint cached_at_;
};

}  // namespace iperf3_exporter
