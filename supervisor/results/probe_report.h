// How a probe ended: with a report of its test, or refused.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"

namespace iperf3_exporter {

// Of a probe whose test was run, or failed before it could be run (no address, no time).
struct ProbeReport {
  std::string target;  // exactly as asked for
  std::uint16_t port = 0;
  TestOptions test;                      // as run; its period is 0 when iperf3 was never started
  std::uint32_t attempts = 0;            // tests that were started
  std::chrono::nanoseconds duration{0};  // from the request to the answer
  std::chrono::nanoseconds lock_wait{0};
  TestResult result;
};

// Why no test was tried: the label `result` of the exporter's metrics.
enum class RefusalReason : std::uint8_t {
  kBadRequest,     // 400
  kForbidden,      // 403
  kQueueFull,      // 503, as all that follow
  kLockTimeout,    // another test held the lock too long
  kWorkerTimeout,  // workers are alive, but none was free in time
  kDraining,       // the exporter is shutting down
  kNoWorker,       // no worker is alive
};

inline constexpr std::array<std::string_view, 7> kRefusalReasonNames = {
    "bad_request",    "forbidden", "queue_full", "lock_timeout",
    "worker_timeout", "draining",  "no_worker",
};

struct Refusal {
  RefusalReason reason = RefusalReason::kNoWorker;
  std::string text;  // one line for the client
};

using ProbeAnswer = tl::expected<ProbeReport, Refusal>;

}  // namespace iperf3_exporter
