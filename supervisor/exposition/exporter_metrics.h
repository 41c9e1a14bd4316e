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

#include "common/iperf3/failure_reason.h"
#include "common/sandbox_layer.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/http/http_types.h"

namespace iperf3_exporter {

// How a request for a probe ended: the label `result`.
enum class ProbeResult : std::uint8_t {
  kSuccess,        // 200, iperf3_up 1
  kFailure,        // 200, iperf3_up 0
  kBadRequest,     // 400
  kForbidden,      // 403
  kQueueFull,      // 503
  kLockTimeout,    // 503
  kWorkerTimeout,  // 503: workers are alive, but none was free in time
  kDraining,       // 503
  kNoWorker,       // 503: none is alive
  kCancelled,      // the scraper went away
};
inline constexpr std::array<std::string_view, 10> kProbeResultNames = {
    "success",      "failure",        "bad_request", "forbidden", "queue_full",
    "lock_timeout", "worker_timeout", "draining",    "no_worker", "cancelled",
};

// Why a worker had to be started anew: the label `reason`.
enum class WorkerRestart : std::uint8_t {
  kCrashed,   // it ended by itself, or by a signal that we did not send
  kProtocol,  // it broke the protocol
  kNotReady,  // it was not ready in time, or said that it can't work
  kHung,      // it was past its job's deadline
  kLockGone,  // the lock's object was deleted under it
};
inline constexpr std::array<std::string_view, 5> kWorkerRestartNames = {
    "crashed", "protocol", "not_ready", "hung", "lock_gone",
};

// State of a worker slot: the label `state`.
enum class WorkerState : std::uint8_t { kStarting, kIdle, kBusy, kDown };
inline constexpr std::array<std::string_view, 4> kWorkerStateNames = {
    "starting",
    "idle",
    "busy",
    "down",
};

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

  // A request for a probe was answered (or given up). `duration` from its request to its answer.
  // Every result but kSuccess and kCancelled counts as an error too.
  void OnProbe(ProbeResult result, std::chrono::nanoseconds duration);
  // A probe failed: its test was tried and failed, or could not even be tried (no address, no
  // time).
  void OnProbeFailure(FailureReason reason);
  // A probe is over that had waited for a lock, in vain or not.
  void OnLockWait(std::chrono::nanoseconds wait);
  void OnLockTimeout();
  void OnLockRecovery();
  void OnWorkerRestart(WorkerRestart reason);
  // Numbers of a report that were left out because they can't be true.
  void OnImplausibleValues(std::uint32_t count);
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
