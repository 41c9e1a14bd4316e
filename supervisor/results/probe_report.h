// The outcome of a probe: a report of its test, or a refusal.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"
#include "common/iperf3/traffic.h"

namespace iperf3_exporter {

// The report of a test that was run, or that failed before (no address, no time).
struct ProbeReport {
  std::string target;  // exactly as requested
  std::uint16_t port = 0;
  TestOptions test;  // as run; the period is 0 if iperf3 was never started
  std::uint32_t requested_period_seconds = 0;
  std::uint32_t attempts = 0;            // tests that were tried, even if iperf3 did not start
  std::chrono::nanoseconds duration{0};  // from the request to the response
  std::chrono::nanoseconds lock_wait{0};
  // Of all tests that were tried; nullopt if it is not known of one of them.
  std::optional<Traffic> traffic;
  TestResult result;
};

// Why no test was attempted: values of the label `result` of iperf3_exporter_probes_total.
enum class RefusalReason : std::uint8_t {
  kBadRequest,     // 400
  kForbidden,      // 403
  kQueueFull,      // 503, like all below
  kLockTimeout,    // the lock was not acquired in time
  kWorkerTimeout,  // no worker was free in time
  kDraining,       // the exporter is shutting down
  kNoWorker,       // no worker is alive
};

inline constexpr std::array<std::string_view, 7> kRefusalReasonNames = {
    "bad_request",    "forbidden", "queue_full", "lock_timeout",
    "worker_timeout", "draining",  "no_worker",
};

[[nodiscard]] constexpr std::string_view Name(RefusalReason reason) {
  return kRefusalReasonNames[static_cast<std::size_t>(reason)];
}

struct Refusal {
  RefusalReason reason = RefusalReason::kNoWorker;
  std::string text;        // one line for the client
  std::string target;      // as requested; empty: unknown
  std::uint16_t port = 0;  // 0: unknown
  std::string detail;      // for the log only; may be empty
};

[[nodiscard]] inline std::string QueueFullText(std::size_t max_queued) {
  return "the queue is full (--probe.max-queued=" + std::to_string(max_queued) + ")";
}

using ProbeOutcome = tl::expected<ProbeReport, Refusal>;

}  // namespace iperf3_exporter
