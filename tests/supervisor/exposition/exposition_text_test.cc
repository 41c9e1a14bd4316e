#include "supervisor/exposition/exposition_text.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "supervisor/exposition/family_builder.h"

namespace iperf3_exporter {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string Number(double value) {
  std::string text;
  AppendNumber(value, text);
  return text;
}

std::string Text(const std::vector<MetricFamily>& families,
                 ExpositionFormat format = ExpositionFormat::kText) {
  std::string text;
  AppendFamilies(families, format, text);
  AppendEnd(format, text);
  return text;
}

std::vector<MetricFamily> OneOfEach() {
  std::vector<MetricFamily> families;
  families.push_back(BuildFamily(MetricType::Counter, "c_total", "A counter."));
  AddSample(families.back(), {{"a", "1"}, {"b", "two"}}, 7);
  AddSample(families.back(), {}, 8);
  families.push_back(BuildFamily(MetricType::Gauge, "g", "A gauge."));
  AddSample(families.back(), {}, 0.25);
  families.push_back(BuildFamily(MetricType::Summary, "s_seconds", "A summary."));
  ClientMetric summary;
  summary.summary = {3, 1.5, {{0.5, 0.25}}};
  families.back().metric.push_back(summary);
  families.push_back(BuildFamily(MetricType::Histogram, "h_seconds", "A histogram."));
  ClientMetric histogram;
  histogram.label = {{"x", "y"}};
  histogram.histogram = {5, 2.5, {{2, 0.5}, {4, 1}, {5, std::numeric_limits<double>::infinity()}}};
  families.back().metric.push_back(histogram);
  families.push_back(BuildFamily(MetricType::Untyped, "u", "Anything."));
  families.back().metric.emplace_back().untyped.value = 3;
  return families;
}

TEST(ExpositionTextTest, TextFormat) {
  EXPECT_EQ(Text(OneOfEach()),
            R"(# HELP c_total A counter.
# TYPE c_total counter
c_total{a="1",b="two"} 7
c_total 8
# HELP g A gauge.
# TYPE g gauge
g 0.25
# HELP s_seconds A summary.
# TYPE s_seconds summary
s_seconds{quantile="0.5"} 0.25
s_seconds_sum 1.5
s_seconds_count 3
# HELP h_seconds A histogram.
# TYPE h_seconds histogram
h_seconds_bucket{x="y",le="0.5"} 2
h_seconds_bucket{x="y",le="1"} 4
h_seconds_bucket{x="y",le="+Inf"} 5
h_seconds_sum{x="y"} 2.5
h_seconds_count{x="y"} 5
# HELP u Anything.
# TYPE u untyped
u 3
)");
}

TEST(ExpositionTextTest, OpenMetrics) {
  EXPECT_EQ(Text(OneOfEach(), ExpositionFormat::kOpenMetrics),
            R"(# HELP c A counter.
# TYPE c counter
c_total{a="1",b="two"} 7
c_total 8
# HELP g A gauge.
# TYPE g gauge
g 0.25
# HELP s_seconds A summary.
# TYPE s_seconds summary
s_seconds{quantile="0.5"} 0.25
s_seconds_sum 1.5
s_seconds_count 3
# HELP h_seconds A histogram.
# TYPE h_seconds histogram
h_seconds_bucket{x="y",le="0.5"} 2
h_seconds_bucket{x="y",le="1.0"} 4
h_seconds_bucket{x="y",le="+Inf"} 5
h_seconds_sum{x="y"} 2.5
h_seconds_count{x="y"} 5
# HELP u Anything.
# TYPE u unknown
u 3
# EOF
)");
}

TEST(ExpositionTextTest, GaugeFamiliesAreWrittenAsPrometheusCpps) {
  const MetricLabels labels = {{"a", "1"}, {"b", "t\"wo"}};
  const GaugeFamily gauges = {
      "g", "A gauge.\n", {{&labels, {}, 0.25}, {&labels, {{{"c", "3"}, {"d", "4"}}}, 1}}};
  MetricFamily family = BuildFamily(MetricType::Gauge, "g", "A gauge.\n");
  AddSample(family, {{"a", "1"}, {"b", "t\"wo"}}, 0.25);
  AddSample(family, {{"a", "1"}, {"b", "t\"wo"}, {"c", "3"}, {"d", "4"}}, 1);
  for (const auto format : {ExpositionFormat::kText, ExpositionFormat::kOpenMetrics}) {
    std::string text;
    AppendFamilies(std::vector<GaugeFamily>{gauges, {"empty", "Without a sample.", {}}}, format,
                   text);
    AppendEnd(format, text);
    EXPECT_EQ(text, Text({family}, format));
  }
}

TEST(ExpositionTextTest, EscapesHelpAndLabels) {
  MetricFamily family = BuildFamily(MetricType::Gauge, "g", "a\\b\n\"c\"");
  AddSample(family, {{"l", "a\\b\n\"c\" ü"}}, 1);
  EXPECT_EQ(Text({family}),
            "# HELP g a\\\\b\\n\"c\"\n# TYPE g gauge\ng{l=\"a\\\\b\\n\\\"c\\\" ü\"} 1\n");
  EXPECT_EQ(
      Text({family}, ExpositionFormat::kOpenMetrics),
      "# HELP g a\\\\b\\n\\\"c\\\"\n# TYPE g gauge\ng{l=\"a\\\\b\\n\\\"c\\\" ü\"} 1\n# EOF\n");
}

TEST(ExpositionTextTest, LeavesOutAFamilyWithoutSamples) {
  EXPECT_EQ(Text({BuildFamily(MetricType::Gauge, "g", "h")}), "");
  EXPECT_EQ(Text({}, ExpositionFormat::kOpenMetrics), "# EOF\n");
}

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

// For numbers that its own serializer writes exactly; it orders a family's lines otherwise.
TEST(ExpositionTextTest, AgreesWithPrometheusCpp) {
  const prometheus::TextSerializer serializer;
  const prometheus::Serializer& theirs = serializer;
  EXPECT_EQ(SortedLines(Text(OneOfEach())), SortedLines(theirs.Serialize(OneOfEach())));
}

TEST(ExpositionTextTest, Numbers) {
  EXPECT_EQ(Number(0), "0");
  EXPECT_EQ(Number(-0.0), "0");
  EXPECT_EQ(Number(1), "1");
  EXPECT_EQ(Number(-3), "-3");
  EXPECT_EQ(Number(131072000), "131072000");
  EXPECT_EQ(Number(9007199254740991), "9007199254740991");
  EXPECT_EQ(Number(0.1), "0.1");
  EXPECT_EQ(Number(1e-9), "1e-09");
  EXPECT_EQ(Number(1e300), "1e+300");
  EXPECT_EQ(Number(std::nan("")), "NaN");
  EXPECT_EQ(Number(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(Number(-std::numeric_limits<double>::infinity()), "-Inf");
}

TEST(ExpositionTextTest, NumbersReadBackAsTheSameDouble) {
  std::mt19937_64 random(20240607);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t bits = random();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::strtod(Number(value).c_str(), nullptr), value);
    const double quotient = static_cast<double>(bits >> 20) / 1e6;
    ASSERT_EQ(std::strtod(Number(quotient).c_str(), nullptr), quotient);
  }
}

}  // namespace
}  // namespace iperf3_exporter
