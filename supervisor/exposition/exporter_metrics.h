// The exporter's own metrics (docs/REFERENCE.md) and the page of /metrics.
//
// Events are pushed when they happen; states are passed in when the page is requested. The page is
// kept in parts, and only a part whose numbers have changed is written again, because /metrics is
// requested far more often than probes end. Loop thread only. Never blocks (reads /proc).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/sandbox_layer.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/http/http_types.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/workers/worker_state.h"

namespace iperf3_exporter {

// The state at the moment of the scrape.
struct LiveState {
  std::size_t probes_in_flight = 0;
  std::size_t queue_length = 0;
  std::array<std::uint32_t, kWorkerStateNames.size()> workers{};  // by WorkerState
  // The minimum over the living workers: a layer counts as enabled when all of them have it. Absent
  // while none is alive.
  std::optional<SandboxReport> sandbox;
  // The supervisor's own. A layer that it does not have by design is kNotOffered and has no sample.
  LayerStates supervisor_sandbox{};
  // Of the web configuration; the time is Unix seconds.
  bool last_reload_successful = true;
  double last_reload_success_seconds = 0;

  bool operator==(const LiveState&) const = default;
};

class ExporterMetrics {
 public:
  ExporterMetrics();
  ~ExporterMetrics();
  ExporterMetrics(const ExporterMetrics&) = delete;
  ExporterMetrics& operator=(const ExporterMetrics&) = delete;

  // A request for a probe was answered, or given up by its scraper. `duration` from the request to
  // that moment. Every answer but the report of a success counts as an error too.
  void OnReport(const ProbeReport& report);
  void OnRefusal(RefusalReason reason, std::chrono::nanoseconds duration);
  void OnCancelled(std::chrono::nanoseconds duration);
  // A probe has ended that had waited for a lock, whether or not it got it.
  void OnLockWait(std::chrono::nanoseconds wait);
  void OnLockTimeout();
  void OnLockRecovery();
  void OnWorkerRestart(WorkerRestart reason);
  // Of iperf3_exporter_iperf3_info; a new version replaces the old one.
  void SetIperf3Version(std::string_view version);

  // The complete page. The string never changes afterwards. process_* is at most 100 ms old.
  // A wall for exceptions: those of prometheus-cpp, or a lack of memory, become an Error.
  [[nodiscard]] Result<std::shared_ptr<const std::string>> Page(ExpositionFormat format,
                                                                const LiveState& state,
                                                                const HttpStatistics& http);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace iperf3_exporter
