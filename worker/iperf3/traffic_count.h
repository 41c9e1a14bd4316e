// Counts what a test has sent and received, from the numbers of this host's own iperf3: of a
// successful test from its measurement, otherwise from the intervals and sums of its report.
#pragma once

#include <optional>
#include <string_view>

#include "common/iperf3/test_result.h"
#include "common/iperf3/traffic.h"
#include "worker/iperf3/run_evaluation.h"

namespace iperf3_exporter {

// `report` is that of the run whose result is `result`, with the padding that ReportParser needs;
// its bytes are hostile. A test that never began has no traffic. If the server vanishes, iperf3
// does not report the time after the last interval; that time counts with the bitrate limit, or
// with the highest rate of the intervals. nullopt if the report does not tell: iperf3 was killed,
// or printed something else.
[[nodiscard]] std::optional<Traffic> CountTraffic(const TestResult& result, std::string_view report,
                                                  const RunFacts& run, bool is_v6);

}  // namespace iperf3_exporter
