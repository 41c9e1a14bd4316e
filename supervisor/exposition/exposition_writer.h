// Writes metrics as text.
//
// prometheus-cpp has a serializer, but it does not support OpenMetrics, and its numbers do not read
// back as the same double.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/exposition/exposition_format.h"

namespace prometheus {
enum class MetricType;
class Histogram;
class Summary;
}  // namespace prometheus

namespace iperf3_exporter {

// Name and value, in the order of the page.
using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

// As they stand in a sample, without braces: `name="value",…`. For labels that many samples share.
[[nodiscard]] std::string FormatLabels(const MetricLabels& labels);

class ExpositionWriter {
 public:
  // Appends to `text`, which must outlive the writer.
  ExpositionWriter(ExpositionFormat format, std::string& text);

  // Starts a family: the samples that follow belong to it. Without a sample nothing is written.
  // `name` (of a counter: with `_total`) and `help` must live until the last sample.
  void StartFamily(std::string_view name, prometheus::MetricType type, std::string_view help);
  void AddSample(const MetricLabels& labels, double value, std::string_view name_suffix = {});
  // `formatted` comes from FormatLabels and is not empty; `more` follow it.
  void AddSample(std::string_view formatted, std::initializer_list<MetricLabels::value_type> more,
                 double value);

  // Complete families without labels; no value, no family.
  void AddFamily(std::string_view name, prometheus::MetricType type, std::string_view help,
                 std::optional<double> value);
  void AddHistogram(std::string_view name, std::string_view help,
                    const prometheus::Histogram& histogram);
  // Only the sum and the count.
  void AddSummary(std::string_view name, std::string_view help, const prometheus::Summary& summary);

  // Ends the page: `# EOF` in OpenMetrics, nothing in the text format.
  void EndPage();

 private:
  void WriteHeader();

  const bool open_metrics_;
  std::string& text_;
  std::string_view name_;
  std::string_view help_;
  prometheus::MetricType type_{};
  bool header_written_ = false;
};

// Appends the shortest decimal that reads back as `value`; integers below 2^53 without an
// exponent; `NaN`, `+Inf`, `-Inf`.
void AppendNumber(double value, std::string& text);

}  // namespace iperf3_exporter
