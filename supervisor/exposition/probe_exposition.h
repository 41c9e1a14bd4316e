// The metrics of probes (docs/REFERENCE.md).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "supervisor/config/failure_values.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/exposition/exposition_text.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

// A report and the labels that its samples begin with.
struct LabelledReport {
  const ProbeReport* report;
  MetricLabels labels;
};

// The families of all reports together: each family once, with the samples of each report in turn.
// What a measurement lacks is left out; nothing is made up. After a bidirectional test every metric
// of a measurement whose name has no direction has two samples, with the label `direction`; what
// belongs to the probe as a whole (up, streams, period, durations, attempts, processor, failure)
// has one.
//
// Pure. The result holds views of `reports`.
[[nodiscard]] std::vector<GaugeFamily> BuildProbeFamilies(std::span<const LabelledReport> reports,
                                                          FailureValues failure_values);

// The complete page of one report, with the labels `target` and `port`.
[[nodiscard]] std::string BuildProbePage(const ProbeReport& report, FailureValues failure_values,
                                         ExpositionFormat format);

}  // namespace iperf3_exporter
