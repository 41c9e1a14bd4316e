#include "supervisor/exposition/exposition_writer.h"

#include <gtest/gtest.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>
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

namespace iperf3_exporter {
namespace {

using prometheus::MetricType;

std::string Number(double value) {
  std::string text;
  AppendNumber(value, text);
  return text;
}

std::string OneOfEach(ExpositionFormat format) {
  std::string text;
  ExpositionWriter writer(format, text);
  writer.StartFamily("c_total", MetricType::Counter, "A counter.");
  writer.AddSample({{"a", "1"}, {"b", "two"}}, 7);
  writer.AddSample({}, 8);
  writer.AddFamily("g", MetricType::Gauge, "A gauge.", 0.25);
  writer.AddFamily("absent", MetricType::Gauge, "Without a value.", std::nullopt);
  writer.StartFamily("empty", MetricType::Gauge, "Without a sample.");
  prometheus::Summary summary{prometheus::Summary::Quantiles{}};
  summary.Observe(0.5);
  summary.Observe(1);
  writer.AddSummary("s_seconds", "A summary.", summary);
  prometheus::Histogram histogram({0.5, 1});
  for (const double value : {0.25, 0.75, 1.5}) histogram.Observe(value);
  writer.AddHistogram("h_seconds", "A histogram.", histogram);
  writer.EndPage();
  return text;
}

TEST(ExpositionWriterTest, TextFormat) {
  EXPECT_EQ(OneOfEach(ExpositionFormat::kText),
            R"(# HELP c_total A counter.
# TYPE c_total counter
c_total{a="1",b="two"} 7
c_total 8
# HELP g A gauge.
# TYPE g gauge
g 0.25
# HELP s_seconds A summary.
# TYPE s_seconds summary
s_seconds_sum 1.5
s_seconds_count 2
# HELP h_seconds A histogram.
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5"} 1
h_seconds_bucket{le="1"} 2
h_seconds_bucket{le="+Inf"} 3
h_seconds_sum 2.5
h_seconds_count 3
)");
}

TEST(ExpositionWriterTest, OpenMetrics) {
  EXPECT_EQ(OneOfEach(ExpositionFormat::kOpenMetrics),
            R"(# HELP c A counter.
# TYPE c counter
c_total{a="1",b="two"} 7
c_total 8
# HELP g A gauge.
# TYPE g gauge
g 0.25
# HELP s_seconds A summary.
# TYPE s_seconds summary
s_seconds_sum 1.5
s_seconds_count 2
# HELP h_seconds A histogram.
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5"} 1
h_seconds_bucket{le="1.0"} 2
h_seconds_bucket{le="+Inf"} 3
h_seconds_sum 2.5
h_seconds_count 3
# EOF
)");
}

TEST(ExpositionWriterTest, EscapesHelpAndLabels) {
  const auto text = [](ExpositionFormat format) {
    std::string written;
    ExpositionWriter writer(format, written);
    writer.StartFamily("g", MetricType::Gauge, "a\\b\n\"c\"");
    writer.AddSample({{"l", "a\\b\n\"c\" ü"}}, 1);
    return written;
  };
  EXPECT_EQ(text(ExpositionFormat::kText),
            "# HELP g a\\\\b\\n\"c\"\n# TYPE g gauge\ng{l=\"a\\\\b\\n\\\"c\\\" ü\"} 1\n");
  EXPECT_EQ(text(ExpositionFormat::kOpenMetrics),
            "# HELP g a\\\\b\\n\\\"c\\\"\n# TYPE g gauge\ng{l=\"a\\\\b\\n\\\"c\\\" ü\"} 1\n");
}

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

// For numbers that its own serializer writes exactly.
TEST(ExpositionWriterTest, AgreesWithPrometheusCpp) {
  prometheus::Registry registry;
  auto& family = prometheus::BuildHistogram().Name("h").Help("A histogram.").Register(registry);
  auto& histogram = family.Add({}, prometheus::Histogram::BucketBoundaries{0.5, 1});
  histogram.Observe(0.75);
  std::string text;
  ExpositionWriter writer(ExpositionFormat::kText, text);
  writer.AddHistogram("h", "A histogram.", histogram);
  const prometheus::TextSerializer serializer;
  const prometheus::Serializer& theirs = serializer;
  EXPECT_EQ(SortedLines(text), SortedLines(theirs.Serialize(registry.Collect())));
}

TEST(ExpositionWriterTest, Numbers) {
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

TEST(ExpositionWriterTest, NumbersReadBackAsTheSameDouble) {
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
