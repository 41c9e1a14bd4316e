// The result of a test: a measurement, or why there is none.
#pragma once

#include <cstddef>
#include <string>
#include <tl/expected.hpp>

#include "common/iperf3/failure_reason.h"
#include "common/iperf3/measurement.h"

namespace iperf3_exporter {

// The detail of a failure is cut to this length.
inline constexpr std::size_t kMaxErrorTextBytes = 512;

struct TestFailure {
  FailureReason reason = FailureReason::kWorkerLost;
  // For the log and for people, never for a label: raw bytes from iperf3 or its peer. May be empty.
  std::string detail;

  bool operator==(const TestFailure&) const = default;
};

using TestResult = tl::expected<Measurement, TestFailure>;

}  // namespace iperf3_exporter
