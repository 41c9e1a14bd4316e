#include "supervisor/exposition/results_exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/supervisor/exposition/own_test_samples.h"

namespace iperf3_exporter {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string Page(const OwnTestResults& results, ProbePageStyle style = {},
                 ExpositionFormat format = ExpositionFormat::kText) {
  return BuildResultsPage(results, style, format);
}

OwnTestResults One(OwnTestResult result) {
  return {std::make_shared<const OwnTestResult>(std::move(result))};
}

std::vector<std::string> Lines(const std::string& page) {
  std::vector<std::string> lines;
  std::istringstream stream(page);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string NameOf(const std::string& sample) {
  return sample.substr(0, sample.find_first_of("{ "));
}

// The samples of `name`, as lines.
std::vector<std::string> Samples(const std::string& page, const std::string& name) {
  std::vector<std::string> samples;
  for (const std::string& line : Lines(page)) {
    if (!line.starts_with('#') && NameOf(line) == name) samples.push_back(line);
  }
  return samples;
}

TEST(ResultsExpositionTest, IsEmptyWithoutTests) {
  EXPECT_EQ(Page({}), "");
  EXPECT_EQ(Page({}, {}, ExpositionFormat::kOpenMetrics), "# EOF\n");
}

TEST(ResultsExpositionTest, HasTheCountersOfATestThatHasNotRun) {
  const std::string labels =
      "{test=\"new\",target=\"hq.example.org\",port=\"5201-5208\",module=\"lte\"";
  EXPECT_THAT(Lines(Page(One(SampleNewTest("new")))),
              testing::ElementsAre(
                  HasSubstr("# HELP iperf3_next_run_timestamp_seconds "),
                  "# TYPE iperf3_next_run_timestamp_seconds gauge",
                  "iperf3_next_run_timestamp_seconds" + labels + "} 1700003600.25",
                  HasSubstr("# HELP iperf3_runs_total "), "# TYPE iperf3_runs_total counter",
                  "iperf3_runs_total" + labels + ",result=\"success\"} 0",
                  "iperf3_runs_total" + labels + ",result=\"failure\"} 0",
                  HasSubstr("# HELP iperf3_skipped_total "), "# TYPE iperf3_skipped_total counter",
                  "iperf3_skipped_total" + labels + ",reason=\"budget\"} 0",
                  "iperf3_skipped_total" + labels + ",reason=\"window\"} 0",
                  "iperf3_skipped_total" + labels + ",reason=\"lock\"} 0",
                  "iperf3_skipped_total" + labels + ",reason=\"coordination\"} 0",
                  HasSubstr("# HELP iperf3_transferred_bytes_total "),
                  "# TYPE iperf3_transferred_bytes_total counter",
                  "iperf3_transferred_bytes_total" + labels + ",direction=\"upload\"} 0",
                  "iperf3_transferred_bytes_total" + labels + ",direction=\"download\"} 0"));
}

TEST(ResultsExpositionTest, ExportsTimesCountersAndBudget) {
  const std::string page = Page(One(
      SampleOwnTest("hq", SampleReport(Protocol::kTcp, Direction::kUpload), {{"site", "ber"}})));
  const std::string labels =
      "{test=\"hq\",target=\"hq.example.org\",port=\"5201-5208\",module=\"lte\",site=\"ber\"";
  for (const std::string& line : std::vector<std::string>{
           "iperf3_last_run_timestamp_seconds" + labels + "} 1700000000.125",
           "iperf3_last_success_timestamp_seconds" + labels + "} 1699996400",
           "iperf3_next_run_timestamp_seconds" + labels + "} 1700003600.25",
           "iperf3_runs_total" + labels + ",result=\"success\"} 5",
           "iperf3_runs_total" + labels + ",result=\"failure\"} 0",
           "iperf3_skipped_total" + labels + ",reason=\"budget\"} 1",
           "iperf3_skipped_total" + labels + ",reason=\"window\"} 2",
           "iperf3_skipped_total" + labels + ",reason=\"lock\"} 3",
           "iperf3_skipped_total" + labels + ",reason=\"coordination\"} 4",
           "iperf3_transferred_bytes_total" + labels + ",direction=\"upload\"} 3145728000",
           "iperf3_transferred_bytes_total" + labels + ",direction=\"download\"} 42",
           "iperf3_budget_bytes" + labels + ",state=\"used\"} 3145728042",
           "iperf3_budget_bytes" + labels + ",state=\"left\"} 7",
       }) {
    EXPECT_THAT(page, HasSubstr("\n" + line + "\n"));
  }
}

TEST(ResultsExpositionTest, HasNoBudgetOfATestWithoutOne) {
  OwnTestResult result = SampleOwnTest("hq", SampleReport(Protocol::kTcp, Direction::kUpload));
  EXPECT_EQ(Samples(Page(One(result)), "iperf3_budget_bytes").size(), 2U);
  result.budget.reset();
  EXPECT_THAT(Page(One(result)), Not(HasSubstr("iperf3_budget_bytes")));
}

// What /probe answers, with the labels of the test.
TEST(ResultsExpositionTest, ExportsTheMetricsOfAProbe) {
  for (const ProbePageStyle style : {ProbePageStyle{}, ProbePageStyle{FailureValues::kAbsent},
                                     ProbePageStyle{.labels = ProbeLabels::kFork}}) {
    for (const Direction direction : {Direction::kUpload, Direction::kBidirectional}) {
      for (ProbeReport report :
           {SampleReport(Protocol::kUdp, direction), SampleFailure(Protocol::kTcp, direction)}) {
        report.target = "hq.example.org";
        report.port = 5203;
        const std::string page = Page(One(SampleOwnTest("hq", report, {{"site", "ber"}})), style);
        std::string probe_page = BuildProbePage(report, style, ExpositionFormat::kText);
        const std::string probe_labels = "{target=\"hq.example.org\",port=\"5203\"";
        const std::string labels =
            "{test=\"hq\",target=\"hq.example.org\",port=\"5203\",module=\"lte\",site=\"ber\"";
        for (std::size_t at = 0; (at = probe_page.find(probe_labels, at)) != std::string::npos;) {
          probe_page.replace(at, probe_labels.size(), labels);
        }
        EXPECT_TRUE(page.ends_with(probe_page)) << page << "\ndoes not end with\n" << probe_page;
      }
    }
  }
}

TEST(ResultsExpositionTest, EscapesLabels) {
  OwnTestResult result = SampleNewTest("new");
  result.test = std::make_shared<const OwnTestIdentity>(
      OwnTestIdentity{.name = "a\"b",
                      .target = "fe80::1%\\",
                      .port = "5201",
                      .module = "",
                      .labels = {{"note", "line 1\nline 2 \\ \"ü\""}}});
  const std::string page = Page(One(result));
  EXPECT_THAT(
      page,
      HasSubstr("{test=\"a\\\"b\",target=\"fe80::1%\\\\\",port=\"5201\",module=\"\",note=\"line "
                "1\\nline 2 \\\\ \\\"ü\\\"\"} 1700003600.25\n"));
}

TEST(ResultsExpositionTest, HasEachFamilyOnceAndTogether) {
  for (const ExpositionFormat format : {ExpositionFormat::kText, ExpositionFormat::kOpenMetrics}) {
    const std::string page = Page(SampleOwnTests(), {}, format);
    std::set<std::string> families;
    std::set<std::string> series;
    std::string family;
    for (const std::string& line : Lines(page)) {
      if (line.starts_with("# TYPE ")) {
        family = line.substr(7, line.rfind(' ') - 7);
        EXPECT_TRUE(families.insert(family).second) << family;
      } else if (!line.starts_with('#')) {
        EXPECT_TRUE(NameOf(line) == family || NameOf(line) == family + "_total") << line;
        EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
      }
    }
    EXPECT_TRUE(families.contains("iperf3_probe_failure"));
    EXPECT_EQ(Samples(page, "iperf3_up").size(), 12U);
    EXPECT_EQ(Samples(page, "iperf3_runs_total").size(), 2 * 13U);
    // A bidirectional test has two, the new one none.
    EXPECT_EQ(Samples(page, "iperf3_sent_bytes").size(), 16U);
  }
}

TEST(ResultsExpositionTest, HasNoTimestampsOnSamples) {
  for (const std::string& line : Lines(Page(SampleOwnTests()))) {
    if (line.starts_with('#')) continue;
    EXPECT_THAT(line.substr(line.rfind('}') + 2), Not(HasSubstr(" "))) << line;
  }
}

TEST(ResultsExpositionTest, NamesCountersAsOpenMetricsDoes) {
  const std::string page = Page(SampleOwnTests(), {}, ExpositionFormat::kOpenMetrics);
  EXPECT_THAT(page, HasSubstr("# TYPE iperf3_runs counter\n"));
  EXPECT_THAT(page, HasSubstr("\niperf3_runs_total{"));
  EXPECT_TRUE(page.ends_with("\n# EOF\n"));
}

}  // namespace
}  // namespace iperf3_exporter
