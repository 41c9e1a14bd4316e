// promtool reads the pages as Prometheus would, and knows its conventions.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/exposition/results_exposition.h"
#include "tests/supervisor/exposition/exposition_samples.h"
#include "tests/supervisor/exposition/own_test_samples.h"

namespace iperf3_exporter {
namespace {

constexpr char kPromtool[] = "/usr/bin/promtool";
constexpr int kClean = 0;
constexpr int kParsedWithAdvice = 3;  // promtool's status when it only dislikes names

struct CheckResult {
  int status = -1;
  std::string output;
};

class PromtoolTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(kPromtool, X_OK) != 0) GTEST_SKIP() << kPromtool << " is not installed";
    std::string name = testing::TempDir() + "promtool_test.XXXXXX";
    const int fd = ::mkstemp(name.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    file_ = name;
  }
  void TearDown() override {
    if (!file_.empty()) ::unlink(file_.c_str());
  }

  CheckResult Check(const std::string& page) const {
    std::ofstream(file_, std::ios::trunc) << page;
    const std::string command = std::string(kPromtool) + " check metrics < " + file_ + " 2>&1";
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return {};
    CheckResult result;
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
      result.output.append(buffer, n);
    }
    const int status = ::pclose(pipe);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
  }

 private:
  std::string file_;
};

TEST_F(PromtoolTest, AcceptsTheExportersPage) {
  ExporterMetrics metrics;
  metrics.SetIperf3Version("3.12");
  metrics.OnReport(SampleReport(Protocol::kTcp, Direction::kUpload));
  const CheckResult result =
      Check(**metrics.Page(ExpositionFormat::kText, SampleState(), SampleHttp()));
  EXPECT_EQ(result.status, kClean) << result.output;
}

// The only advice it may have is about the units in names that users know.
void ExpectAdviceOnUnits(const CheckResult& result) {
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find(' '));
    EXPECT_TRUE(name.ends_with("_ms") || name.ends_with("_percent") || name.ends_with("_mbps") ||
                name == "iperf3_bits_per_second")
        << line;
  }
}

TEST_F(PromtoolTest, AcceptsProbePages) {
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    for (const Direction direction :
         {Direction::kUpload, Direction::kDownload, Direction::kBidirectional}) {
      for (const ProbeReport& report :
           {SampleReport(protocol, direction), SampleFailure(protocol, direction)}) {
        const CheckResult result = Check(BuildProbePage(report, {}, ExpositionFormat::kText));
        EXPECT_TRUE(result.status == kClean || result.status == kParsedWithAdvice) << result.output;
        ExpectAdviceOnUnits(result);
      }
    }
  }
}

TEST_F(PromtoolTest, AcceptsThePagesOfEveryStyle) {
  for (const ProbePageStyle style :
       {ProbePageStyle{FailureValues::kAbsent}, ProbePageStyle{.labels = ProbeLabels::kFork}}) {
    for (const Direction direction : {Direction::kUpload, Direction::kBidirectional}) {
      for (const ProbeReport& report :
           {SampleReport(Protocol::kTcp, direction), SampleFailure(Protocol::kUdp, direction)}) {
        // promtool refuses a family or a sample that comes twice.
        const CheckResult result = Check(BuildProbePage(report, style, ExpositionFormat::kText));
        EXPECT_TRUE(result.status == kClean || result.status == kParsedWithAdvice) << result.output;
      }
    }
  }
}

TEST_F(PromtoolTest, AcceptsThePageOfOwnTests) {
  for (const ProbePageStyle style :
       {ProbePageStyle{}, ProbePageStyle{FailureValues::kAbsent, ProbeLabels::kFork}}) {
    const CheckResult result =
        Check(BuildResultsPage(SampleOwnTests(), style, ExpositionFormat::kText));
    EXPECT_TRUE(result.status == kClean || result.status == kParsedWithAdvice) << result.output;
    ExpectAdviceOnUnits(result);
  }
}

TEST_F(PromtoolTest, RefusesAPageThatIsCut) {
  const ProbeReport report = SampleReport(Protocol::kTcp, Direction::kUpload);
  const std::string page = BuildProbePage(report, {}, ExpositionFormat::kText);
  const CheckResult result = Check(page.substr(0, page.rfind('"')));
  EXPECT_NE(result.status, kClean);
  EXPECT_NE(result.status, kParsedWithAdvice);
}

}  // namespace
}  // namespace iperf3_exporter
