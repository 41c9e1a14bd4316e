#include "supervisor/exposition/exposition_text.h"

#include <prometheus/metric_family.h>

#include <charconv>
#include <cmath>
#include <cstdint>

namespace iperf3_exporter {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view kTotal = "_total";
constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

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

// Writes one family after the other, each sample part by part.
class Writer {
 public:
  Writer(ExpositionFormat format, std::string& text)
      : open_metrics_(format == ExpositionFormat::kOpenMetrics), text_(text) {}

  void BeginFamily(std::string_view name, std::string_view help, MetricType type) {
    name_ = name;
    // OpenMetrics names a counter's family without the suffix that its samples have.
    if (open_metrics_ && type == MetricType::Counter && name.ends_with(kTotal)) {
      name.remove_suffix(kTotal.size());
    }
    text_.append("# HELP ").append(name) += ' ';
    AppendEscaped(help, open_metrics_, text_);
    text_.append("\n# TYPE ").append(name) += ' ';
    const bool unknown = open_metrics_ && type == MetricType::Untyped;
    text_.append(unknown ? "unknown" : TypeName(type)) += '\n';
  }

  void BeginSample(std::string_view suffix = {}) {
    text_.append(name_).append(suffix);
    label_written_ = false;
  }

  void Label(std::string_view name, std::string_view value) {
    text_ += label_written_ ? ',' : '{';
    label_written_ = true;
    text_.append(name) += "=\"";
    AppendEscaped(value, true, text_);
    text_ += '"';
  }

  // `le` and `quantile`. OpenMetrics wants a point or an exponent in them.
  void Bound(std::string_view name, double bound) {
    std::string value;
    AppendNumber(bound, value);
    if (open_metrics_ && value.find_first_not_of("-0123456789") == std::string::npos) value += ".0";
    Label(name, value);
  }

  void EndSample(double value) {
    if (label_written_) text_ += '}';
    text_ += ' ';
    AppendNumber(value, text_);
    text_ += '\n';
  }

 private:
  const bool open_metrics_;
  std::string& text_;
  std::string_view name_;
  bool label_written_ = false;
};

void BeginSample(const ClientMetric& metric, std::string_view suffix, Writer& writer) {
  writer.BeginSample(suffix);
  for (const ClientMetric::Label& label : metric.label) writer.Label(label.name, label.value);
}

void WriteValue(const ClientMetric& metric, std::string_view suffix, double value, Writer& writer) {
  BeginSample(metric, suffix, writer);
  writer.EndSample(value);
}

void WriteSummary(const ClientMetric& metric, Writer& writer) {
  for (const ClientMetric::Quantile& quantile : metric.summary.quantile) {
    BeginSample(metric, "", writer);
    writer.Bound("quantile", quantile.quantile);
    writer.EndSample(quantile.value);
  }
  WriteValue(metric, "_sum", metric.summary.sample_sum, writer);
  WriteValue(metric, "_count", static_cast<double>(metric.summary.sample_count), writer);
}

void WriteHistogram(const ClientMetric& metric, Writer& writer) {
  for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
    BeginSample(metric, "_bucket", writer);
    writer.Bound("le", bucket.upper_bound);
    writer.EndSample(static_cast<double>(bucket.cumulative_count));
  }
  WriteValue(metric, "_sum", metric.histogram.sample_sum, writer);
  WriteValue(metric, "_count", static_cast<double>(metric.histogram.sample_count), writer);
}

void WriteMetric(const ClientMetric& metric, MetricType type, Writer& writer) {
  switch (type) {
    case MetricType::Counter:
      return WriteValue(metric, "", metric.counter.value, writer);
    case MetricType::Gauge:
      return WriteValue(metric, "", metric.gauge.value, writer);
    case MetricType::Untyped:
      return WriteValue(metric, "", metric.untyped.value, writer);
    case MetricType::Summary:
      return WriteSummary(metric, writer);
    case MetricType::Histogram:
      return WriteHistogram(metric, writer);
  }
}

}  // namespace

void AppendFamilies(const std::vector<MetricFamily>& families, ExpositionFormat format,
                    std::string& text) {
  Writer writer(format, text);
  for (const MetricFamily& family : families) {
    if (family.metric.empty()) continue;
    writer.BeginFamily(family.name, family.help, family.type);
    for (const ClientMetric& metric : family.metric) WriteMetric(metric, family.type, writer);
  }
}

void AppendFamilies(const std::vector<GaugeFamily>& families, ExpositionFormat format,
                    std::string& text) {
  Writer writer(format, text);
  for (const GaugeFamily& family : families) {
    if (family.samples.empty()) continue;
    writer.BeginFamily(family.name, family.help, MetricType::Gauge);
    for (const GaugeSample& sample : family.samples) {
      writer.BeginSample();
      for (const auto& [name, value] : *sample.labels) writer.Label(name, value);
      for (const auto& [name, value] : sample.further) {
        if (!name.empty()) writer.Label(name, value);
      }
      writer.EndSample(sample.value);
    }
  }
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
