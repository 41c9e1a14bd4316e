// How a test ended: what it measured, or why it measured nothing.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "common/iperf3/failure_reason.h"
#include "common/iperf3/measurement.h"

namespace iperf3_exporter {

struct TestFailure {
  FailureReason reason = FailureReason::kWorkerLost;
  std::string detail;  // for the log and for people, never for a label; may be empty

  bool operator==(const TestFailure&) const = default;
};

using TestResult = tl::expected<Measurement, TestFailure>;

}  // namespace iperf3_exporter
