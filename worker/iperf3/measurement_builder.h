// What the numbers of a report mean together: sums per direction, what is plausible, what iperf3's
// versions mix up. Decided here once, whichever way the report was read.
#pragma once

#include "common/iperf3/measurement.h"
#include "common/iperf3/test_options.h"
#include "worker/iperf3/report_values.h"

namespace iperf3_exporter {

// False when the sums of `direction` are not all there, or there are more streams than iperf3 can
// have; `to` is then unspecified. Pure.
[[nodiscard]] bool BuildMeasurement(const ReportValues& values, Protocol protocol,
                                    Direction direction, Measurement& to);

}  // namespace iperf3_exporter
