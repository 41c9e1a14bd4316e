// Families of metrics to text.
//
// prometheus-cpp keeps the exporter's own metrics and collects them into families; the writing is
// ours, because its serializer writes neither numbers that read back as the same double nor
// OpenMetrics. A probe's metrics exist only for one response: they are gauges whose texts stand in
// tables, so they are families of views, which cost a tenth of prometheus-cpp's to build.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/exposition/exposition_format.h"

namespace prometheus {
struct MetricFamily;
}

namespace iperf3_exporter {

// Name and value.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;
using LabelView = std::pair<std::string_view, std::string_view>;

// All views must outlive the family.
struct GaugeSample {
  const MetricLabels* labels;        // first, in their order
  std::array<LabelView, 2> further;  // then these; one without a name is left out
  double value;
};
struct GaugeFamily {
  std::string_view name;
  std::string_view help;
  std::vector<GaugeSample> samples;
};

// Append `families` in their order; samples of a family in theirs. Families without a sample are
// left out. Counter families are named with their `_total`.
void AppendFamilies(const std::vector<prometheus::MetricFamily>& families, ExpositionFormat format,
                    std::string& text);
void AppendFamilies(const std::vector<GaugeFamily>& families, ExpositionFormat format,
                    std::string& text);

// Ends the page: `# EOF` in OpenMetrics, nothing in the text format.
void AppendEnd(ExpositionFormat format, std::string& text);

// Appends the shortest decimal that reads back as `value`; integers below 2^53 without an
// exponent; `NaN`, `+Inf`, `-Inf`.
void AppendNumber(double value, std::string& text);

}  // namespace iperf3_exporter
