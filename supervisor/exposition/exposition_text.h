// Families of metrics to text. It takes prometheus-cpp's families and does what its own
// serializer can't: numbers that read back as the same double, HELP and labels escaped,
// OpenMetrics.
#pragma once

#include <string>
#include <vector>

#include "supervisor/exposition/exposition_format.h"

namespace prometheus {
struct ClientMetric;
struct MetricFamily;
}  // namespace prometheus

namespace iperf3_exporter {

// Appends `families` in their order; samples of a family in theirs. Families without a sample
// are left out. Counter families are named with their `_total`.
void AppendFamilies(const std::vector<prometheus::MetricFamily>& families, ExpositionFormat format,
                    std::string& text);

// The same by parts, for who builds no families only to write them down: HELP and TYPE of `family`,
// then one after the other what it would have in `metric`, which is not looked at.
void AppendFamilyHead(const prometheus::MetricFamily& family, ExpositionFormat format,
                      std::string& text);
void AppendMetric(const prometheus::MetricFamily& family, const prometheus::ClientMetric& metric,
                  ExpositionFormat format, std::string& text);

// Ends the page: `# EOF` in OpenMetrics, nothing in the text format.
void AppendEnd(ExpositionFormat format, std::string& text);

// Appends the shortest decimal that reads back as `value`; integers below 2^53 without an
// exponent; `NaN`, `+Inf`, `-Inf`.
void AppendNumber(double value, std::string& text);

}  // namespace iperf3_exporter
