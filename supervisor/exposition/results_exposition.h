// The page of the exporter's own tests (docs/REFERENCE.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "supervisor/config/probe_settings.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/results/own_test_result.h"

namespace iperf3_exporter {

using OwnTestResults = std::vector<std::shared_ptr<const OwnTestResult>>;

// The complete page. Each family appears once, with the samples of all tests. The counters of a
// test are present from the start; the metrics of a probe from its first run on, with the port that
// was tested last. Takes about 10 us for each test. Pure; any thread may call it.
[[nodiscard]] std::string BuildResultsPage(const OwnTestResults& results,
                                           const ProbePageStyle& style, ExpositionFormat format);

}  // namespace iperf3_exporter
