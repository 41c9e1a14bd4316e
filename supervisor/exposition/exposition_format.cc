#include "supervisor/exposition/exposition_format.h"

#include <algorithm>
#include <charconv>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

constexpr std::string_view kOpenMetricsType = "application/openmetrics-text";

// One media range of the header. The quality of an unknown version of OpenMetrics is 0.
struct MediaRange {
  std::string_view type;
  double quality = 1;
};

// 0 if it is invalid.
double ParseQuality(std::string_view text) {
  double quality = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), quality);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return 0;
  return quality >= 0 && quality <= 1 ? quality : 0;
}

MediaRange ParseMediaRange(std::string_view text) {
  MediaRange range;
  range.type = TakeUntil(';', text);
  const bool open_metrics = EqualsIgnoringCase(range.type, kOpenMetricsType);
  bool version_known = true;
  while (!text.empty()) {
    std::string_view parameter = TakeUntil(';', text);
    const std::string_view name = TakeUntil('=', parameter);
    std::string_view value = Trim(parameter);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (EqualsIgnoringCase(name, "q")) range.quality = ParseQuality(value);
    if (open_metrics && EqualsIgnoringCase(name, "version")) {
      version_known = value == "1.0.0" || value == "0.0.1";
    }
  }
  if (!version_known) range.quality = 0;
  return range;
}

// How specifically a range names the text format; 0: not at all.
int TextSpecificity(std::string_view type) {
  if (EqualsIgnoringCase(type, "text/plain")) return 3;
  if (EqualsIgnoringCase(type, "text/*")) return 2;
  return type == "*/*" ? 1 : 0;
}

}  // namespace

ExpositionFormat NegotiateFormat(std::string_view accept) {
  double open_metrics = 0;
  double text = 0;
  int text_specificity = 0;
  while (!accept.empty()) {
    const MediaRange range = ParseMediaRange(TakeUntil(',', accept));
    if (EqualsIgnoringCase(range.type, kOpenMetricsType)) {
      open_metrics = std::max(open_metrics, range.quality);
      continue;
    }
    const int specificity = TextSpecificity(range.type);
    if (specificity == 0 || specificity < text_specificity) continue;
    text = specificity > text_specificity ? range.quality : std::max(text, range.quality);
    text_specificity = specificity;
  }
  return open_metrics > 0 && open_metrics >= text ? ExpositionFormat::kOpenMetrics
                                                  : ExpositionFormat::kText;
}

std::string_view ContentType(ExpositionFormat format) {
  return format == ExpositionFormat::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

}  // namespace iperf3_exporter
