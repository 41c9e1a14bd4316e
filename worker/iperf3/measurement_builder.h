// Builds a measurement from the numbers of a report: which sums belong to which direction and side,
// which numbers can be true, and which ones versions of iperf3 mix up.
#pragma once

#include <optional>

#include "common/iperf3/measurement.h"
#include "common/iperf3/test_options.h"
#include "worker/iperf3/report_values.h"

namespace iperf3_exporter {

// Adds a stream on which this host sends: `sender` of the others is about this host's end too, not
// about the direction of the data.
void AddStream(const StreamValues& stream, StreamTotals& totals);

// Returns nullopt when sums of a tested direction are missing. Pure.
[[nodiscard]] std::optional<Measurement> BuildMeasurement(const ReportValues& values,
                                                          Protocol protocol, Direction direction);

}  // namespace iperf3_exporter
