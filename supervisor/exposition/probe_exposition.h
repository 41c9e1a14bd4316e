// One probe's report as a page of metrics (CONTRACT, "Metrics of a probe").
#pragma once

#include <string>

#include "supervisor/exposition/exposition_format.h"
#include "supervisor/exposition/failure_values.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

// Pure, except that it allocates. What the measurement lacks is left out of the page; nothing
// is made up. After a bidirectional test every metric of a measurement that names no direction
// is given twice, with the label `direction`; what belongs to the probe as a whole (up, streams,
// period, durations, attempts, processor, failure) is given once.
[[nodiscard]] std::string BuildProbePage(const ProbeReport& report, FailureValues failure_values,
                                         ExpositionFormat format);

}  // namespace iperf3_exporter
