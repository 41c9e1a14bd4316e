#include "supervisor/exposition/exposition_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

TEST(ExpositionFormatTest, OpenMetricsOnlyWhenPreferred) {
  const std::vector<std::string> open_metrics = {
      "application/openmetrics-text",
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
      "application/openmetrics-text;version=\"1.0.0\"",
      "APPLICATION/OPENMETRICS-TEXT;q=0.5, text/plain;q=0.4",
      // Prometheus 2.42
      ("application/openmetrics-text;version=1.0.0,"
       "application/openmetrics-text;version=0.0.1;q=0.75,"
       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
      "text/plain;q=0.5,application/openmetrics-text;q=0.5",
      "text/plain;q=0, application/openmetrics-text;q=0.1, */*",
  };
  for (const std::string& accept : open_metrics) {
    EXPECT_EQ(NegotiateFormat(accept), ExpositionFormat::kOpenMetrics) << accept;
  }
}

TEST(ExpositionFormatTest, TextOtherwise) {
  const std::vector<std::string> text = {
      "",
      "*/*",
      "text/plain",
      "text/html,application/xhtml+xml,*/*;q=0.8",
      "application/openmetrics-text;q=0",
      "application/openmetrics-text;version=2.0.0",
      "application/openmetrics-text;q=0.4,text/plain;q=0.5",
      "application/openmetrics-text;q=0.4,*/*",
      "application/openmetrics-text;q=nan",
      "application/openmetrics-text;q=7",
      "application/openmetrics-textx",
      ";;;,,,=,q=1",
  };
  for (const std::string& accept : text) {
    EXPECT_EQ(NegotiateFormat(accept), ExpositionFormat::kText) << accept;
  }
}

TEST(ExpositionFormatTest, ContentTypes) {
  EXPECT_EQ(ContentType(ExpositionFormat::kText), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(ContentType(ExpositionFormat::kOpenMetrics),
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

}  // namespace
}  // namespace iperf3_exporter
