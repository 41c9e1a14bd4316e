// The metrics of a probe (docs/REFERENCE.md).
#pragma once

#include <string>

#include "supervisor/config/probe_settings.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

// The complete page of `report`. What was not measured is left out. After a bidirectional test
// every metric of a direction has two samples, with the label `direction`. With ProbeLabels::kFork
// every sample has that label, and a value of the whole probe is repeated for each direction. Pure.
[[nodiscard]] std::string BuildProbePage(const ProbeReport& report, const ProbePageStyle& style,
                                         ExpositionFormat format);

}  // namespace iperf3_exporter
