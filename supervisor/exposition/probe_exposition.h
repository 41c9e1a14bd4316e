// One probe's outcome as a page of metrics (CONTRACT, "Metrics of a probe").
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/iperf3/failure_reason.h"
#include "common/iperf3/measurement.h"
#include "common/wire/job.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/exposition/failure_values.h"

namespace iperf3_exporter {

struct ProbeOutcome {
  std::string target;  // exactly as asked for
  std::uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  Direction direction = Direction::kUpload;
  std::optional<FailureReason> failure;  // absent: the test succeeded
  Measurement measurement;               // of a success
  std::uint32_t streams = 1;
  std::uint32_t period_seconds = 0;  // as run; 0 when iperf3 was not started
  std::chrono::nanoseconds duration{0};
  std::chrono::nanoseconds lock_wait{0};
  std::uint32_t attempts = 1;
};

// Pure, except that it allocates. What the measurement lacks is left out of the page; nothing
// is made up. After a bidirectional test every metric of a measurement that names no direction
// is given twice, with the label `direction`; what belongs to the probe as a whole (up, streams,
// period, durations, attempts, processor, failure) is given once.
[[nodiscard]] std::string BuildProbePage(const ProbeOutcome& outcome, FailureValues failure_values,
                                         ExpositionFormat format);

}  // namespace iperf3_exporter
