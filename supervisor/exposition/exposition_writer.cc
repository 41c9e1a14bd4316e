#include "supervisor/exposition/exposition_writer.h"

#include <prometheus/histogram.h>
#include <prometheus/summary.h>

#include <charconv>
#include <cmath>
#include <cstdint>

namespace iperf3_exporter {
namespace {

using prometheus::MetricType;

constexpr std::string_view kTotal = "_total";
constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

// Escapes backslashes and line feeds, and double quotes in quoted text: label values in both
// formats, HELP in OpenMetrics.
void AppendEscaped(std::string_view value, bool quoted, std::string& text) {
  for (const char c : value) {
    if (c == '\\' || c == '\n' || (quoted && c == '"')) text += '\\';
    text += c == '\n' ? 'n' : c;
  }
}

void AppendLabel(const MetricLabels::value_type& label, std::string& text) {
  text.append(label.first) += "=\"";
  AppendEscaped(label.second, true, text);
  text += '"';
}

std::string_view TypeName(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Gauge:
      return "gauge";
    case MetricType::Summary:
      return "summary";
    case MetricType::Histogram:
      return "histogram";
    case MetricType::Untyped:
      break;
  }
  return "untyped";
}

}  // namespace

std::string FormatLabels(const MetricLabels& labels) {
  std::string text;
  for (const auto& label : labels) {
    if (!text.empty()) text += ',';
    AppendLabel(label, text);
  }
  return text;
}

ExpositionWriter::ExpositionWriter(ExpositionFormat format, std::string& text)
    : open_metrics_(format == ExpositionFormat::kOpenMetrics), text_(text) {}

void ExpositionWriter::StartFamily(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  type_ = type;
  help_ = help;
  header_written_ = false;
}

void ExpositionWriter::WriteHeader() {
  std::string_view name = name_;
  // OpenMetrics names a counter's family without the suffix that its samples have.
  if (open_metrics_ && type_ == MetricType::Counter && name.ends_with(kTotal)) {
    name.remove_suffix(kTotal.size());
  }
  text_.append("# HELP ").append(name) += ' ';
  AppendEscaped(help_, open_metrics_, text_);
  text_.append("\n# TYPE ").append(name).append(" ").append(TypeName(type_)) += '\n';
}

void ExpositionWriter::AddSample(const MetricLabels& labels, double value,
                                 std::string_view name_suffix) {
  if (!std::exchange(header_written_, true)) WriteHeader();
  text_.append(name_).append(name_suffix);
  char separator = '{';
  for (const auto& label : labels) {
    text_ += std::exchange(separator, ',');
    AppendLabel(label, text_);
  }
  text_ += labels.empty() ? " " : "} ";
  AppendNumber(value, text_);
  text_ += '\n';
}

void ExpositionWriter::AddSample(std::string_view formatted,
                                 std::initializer_list<MetricLabels::value_type> more,
                                 double value) {
  if (!std::exchange(header_written_, true)) WriteHeader();
  text_.append(name_).append("{").append(formatted);
  for (const auto& label : more) {
    text_ += ',';
    AppendLabel(label, text_);
  }
  text_ += "} ";
  AppendNumber(value, text_);
  text_ += '\n';
}

void ExpositionWriter::AddFamily(std::string_view name, MetricType type, std::string_view help,
                                 std::optional<double> value) {
  StartFamily(name, type, help);
  if (value) AddSample({}, *value);
}

void ExpositionWriter::AddHistogram(std::string_view name, std::string_view help,
                                    const prometheus::Histogram& histogram) {
  StartFamily(name, MetricType::Histogram, help);
  const auto collected = histogram.Collect().histogram;
  for (const auto& bucket : collected.bucket) {
    std::string bound;
    AppendNumber(bucket.upper_bound, bound);
    // OpenMetrics requires a floating-point number.
    if (open_metrics_ && bound.find_first_not_of("-0123456789") == std::string::npos) bound += ".0";
    AddSample({{"le", bound}}, static_cast<double>(bucket.cumulative_count), "_bucket");
  }
  AddSample({}, collected.sample_sum, "_sum");
  AddSample({}, static_cast<double>(collected.sample_count), "_count");
}

void ExpositionWriter::AddSummary(std::string_view name, std::string_view help,
                                  const prometheus::Summary& summary) {
  StartFamily(name, MetricType::Summary, help);
  const auto collected = summary.Collect().summary;
  AddSample({}, collected.sample_sum, "_sum");
  AddSample({}, static_cast<double>(collected.sample_count), "_count");
}

void ExpositionWriter::EndPage() {
  if (open_metrics_) text_ += "# EOF\n";
}

void AppendNumber(double value, std::string& text) {
  if (std::isnan(value)) {
    text += "NaN";
    return;
  }
  if (std::isinf(value)) {
    text += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  char buffer[32];
  char* const end = buffer + sizeof buffer;
  const bool integer = std::fabs(value) < kLargestExactInteger && value == std::trunc(value);
  const auto result = integer ? std::to_chars(buffer, end, static_cast<std::int64_t>(value))
                              : std::to_chars(buffer, end, value);
  text.append(buffer, result.ptr);
}

}  // namespace iperf3_exporter
