// The exporter's own metrics (CONTRACT, "Metrics of the exporter") and the page of /metrics.
//
// Events are pushed when they happen; what is a state is given when the page is asked for. The
// page is kept in parts, and only a part whose numbers changed is written anew, because /metrics
// is asked for far more often than probes end. Loop thread only. Never blocks (reads /proc).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/sandbox_layer.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/http/http_types.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/workers/worker_state.h"

namespace iperf3_exporter {

// What is as it is at the moment of the scrape.
struct LiveState {
  std::size_t probes_in_flight = 0;
  std::size_t queue_length = 0;
  std::array<std::uint32_t, kWorkerStateNames.size()> workers{};  // by WorkerState
  // The weakest of the living workers: a layer counts as in force when it is in all of them. Absent
  // while none is alive.
  std::optional<SandboxReport> sandbox;
  // The supervisor's own; of those that are kNotOffered, which it does not have by design, there is
  // no sample.
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
  // A probe is over that had waited for a lock, in vain or not.
  void OnLockWait(std::chrono::nanoseconds wait);
  void OnLockTimeout();
  void OnLockRecovery();
  void OnWorkerRestart(WorkerRestart reason);
  // Of iperf3_exporter_iperf3_info; a new version takes the place of the old one.
  void SetIperf3Version(std::string_view version);

  // The complete page. The string never changes afterwards. process_* is at most 100 ms old.
  [[nodiscard]] std::shared_ptr<const std::string> Page(ExpositionFormat format,
                                                        const LiveState& state,
                                                        const HttpStatistics& http);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace iperf3_exporter
