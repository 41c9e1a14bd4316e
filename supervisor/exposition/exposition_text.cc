#include "supervisor/exposition/exposition_text.h"

#include <prometheus/metric_family.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view kTotal = "_total";
constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

void AppendCount(std::uint64_t count, std::string& text) {
  char buffer[24];
  text.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, count).ptr);
}

// Backslash and line feed, and the quote where the text stands between quotes (label values
// everywhere, HELP in OpenMetrics).
void AppendEscaped(std::string_view value, bool quotes, std::string& text) {
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) text += '\\';
    text += c;
  }
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

class FamilyWriter {
 public:
  FamilyWriter(const MetricFamily& family, ExpositionFormat format, std::string& text)
      : family_(family), open_metrics_(format == ExpositionFormat::kOpenMetrics), text_(text) {}

  void WriteHead() {
    text_.append("# HELP ").append(FamilyName()) += ' ';
    AppendEscaped(family_.help, open_metrics_, text_);
    text_.append("\n# TYPE ").append(FamilyName()) += ' ';
    const bool unknown = open_metrics_ && family_.type == MetricType::Untyped;
    text_.append(unknown ? "unknown" : TypeName(family_.type)) += '\n';
  }

  void WriteMetric(const ClientMetric& metric) {
    switch (family_.type) {
      case MetricType::Counter:
        return WriteValue(metric, "", metric.counter.value);
      case MetricType::Gauge:
        return WriteValue(metric, "", metric.gauge.value);
      case MetricType::Untyped:
        return WriteValue(metric, "", metric.untyped.value);
      case MetricType::Summary:
        return WriteSummary(metric);
      case MetricType::Histogram:
        return WriteHistogram(metric);
    }
  }

 private:
  // OpenMetrics names a counter's family without the suffix that its samples have.
  std::string_view FamilyName() const {
    std::string_view name = family_.name;
    if (open_metrics_ && family_.type == MetricType::Counter && name.ends_with(kTotal)) {
      name.remove_suffix(kTotal.size());
    }
    return name;
  }

  void BeginSample(const ClientMetric& metric, std::string_view suffix) {
    text_.append(family_.name).append(suffix);
    label_written_ = false;
    for (const ClientMetric::Label& label : metric.label) WriteLabel(label.name, label.value);
  }

  void WriteLabel(std::string_view name, std::string_view value) {
    text_ += label_written_ ? ',' : '{';
    label_written_ = true;
    text_.append(name) += "=\"";
    AppendEscaped(value, true, text_);
    text_ += '"';
  }

  // `le` and `quantile`. OpenMetrics wants a point or an exponent in them.
  void WriteBound(std::string_view name, double bound) {
    std::string value;
    AppendNumber(bound, value);
    if (open_metrics_ && value.find_first_not_of("-0123456789") == std::string::npos) value += ".0";
    WriteLabel(name, value);
  }

  void EndLabels() {
    if (label_written_) text_ += '}';
    text_ += ' ';
  }

  void WriteValue(const ClientMetric& metric, std::string_view suffix, double value) {
    BeginSample(metric, suffix);
    EndLabels();
    AppendNumber(value, text_);
    text_ += '\n';
  }

  void WriteCount(const ClientMetric& metric, std::string_view suffix, std::uint64_t count) {
    BeginSample(metric, suffix);
    EndLabels();
    AppendCount(count, text_);
    text_ += '\n';
  }

  void WriteSummary(const ClientMetric& metric) {
    for (const ClientMetric::Quantile& quantile : metric.summary.quantile) {
      BeginSample(metric, "");
      WriteBound("quantile", quantile.quantile);
      EndLabels();
      AppendNumber(quantile.value, text_);
      text_ += '\n';
    }
    WriteValue(metric, "_sum", metric.summary.sample_sum);
    WriteCount(metric, "_count", metric.summary.sample_count);
  }

  void WriteHistogram(const ClientMetric& metric) {
    for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
      BeginSample(metric, "_bucket");
      WriteBound("le", bucket.upper_bound);
      EndLabels();
      AppendCount(bucket.cumulative_count, text_);
      text_ += '\n';
    }
    WriteValue(metric, "_sum", metric.histogram.sample_sum);
    WriteCount(metric, "_count", metric.histogram.sample_count);
  }

  const MetricFamily& family_;
  const bool open_metrics_;
  std::string& text_;
  bool label_written_ = false;
};

}  // namespace

void AppendFamilies(const std::vector<MetricFamily>& families, ExpositionFormat format,
                    std::string& text) {
  for (const MetricFamily& family : families) {
    if (family.metric.empty()) continue;
    AppendFamilyHead(family, format, text);
    for (const ClientMetric& metric : family.metric) AppendMetric(family, metric, format, text);
  }
}

void AppendFamilyHead(const MetricFamily& family, ExpositionFormat format, std::string& text) {
  FamilyWriter(family, format, text).WriteHead();
}

void AppendMetric(const MetricFamily& family, const ClientMetric& metric, ExpositionFormat format,
                  std::string& text) {
  FamilyWriter(family, format, text).WriteMetric(metric);
}

void AppendEnd(ExpositionFormat format, std::string& text) {
  if (format == ExpositionFormat::kOpenMetrics) text += "# EOF\n";
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
