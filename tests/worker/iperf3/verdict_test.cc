#include "worker/iperf3/verdict.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "common/build_sanitizers.h"
#include "tests/worker/iperf3/large_report.h"
#include "tests/worker/iperf3/padded_report.h"

namespace iperf3_exporter {
namespace {

// Wait statuses as waitpid(2) returns them.
constexpr int Exited(int code) { return code << 8; }
constexpr int Signalled(int signal) { return signal; }

class VerdictTest : public testing::Test {
 protected:
  TestResult Evaluate(int wait_status, std::string_view stderr_text = {}) {
    return EvaluateRun(wait_status, report_.text(), stderr_text, expected_, parser_);
  }
  FailureReason Reason(int wait_status, std::string_view stderr_text = {}) {
    const TestResult result = Evaluate(wait_status, stderr_text);
    EXPECT_FALSE(result);
    return result ? FailureReason::kWorkerLost : result.error().reason;
  }

  PaddedReport report_ = PaddedReport::Read(TEST_DATA_DIR "/corpus/3.12/tcp_default.json");
  ReportParser parser_;
  Expectation expected_{.period = std::chrono::seconds(1), .run_time = std::chrono::seconds(1)};
};

TEST_F(VerdictTest, SucceedsOnlyWithAllSigns) {
  EXPECT_TRUE(Evaluate(Exited(0)));
  EXPECT_TRUE(Evaluate(Exited(0), "warning: odd\n"));
  EXPECT_EQ(Reason(Exited(1)), FailureReason::kBadOutput);
  EXPECT_FALSE(Evaluate(Signalled(SIGTERM)));
  report_ = PaddedReport("{}");
  EXPECT_EQ(Reason(Exited(0)), FailureReason::kBadOutput);
}

TEST_F(VerdictTest, NamesTheSignal) {
  EXPECT_EQ(Reason(Signalled(SIGSYS)), FailureReason::kSandboxViolation);
  EXPECT_EQ(Reason(Signalled(SIGSEGV)), FailureReason::kKilled);
}

TEST_F(VerdictTest, TakesTheReasonFromTheReportBeforeStderr) {
  report_ = PaddedReport(R"({"end": {}, "error": "test authorization failed"})");
  const TestResult result = Evaluate(Exited(1), "iperf3: error - Connection refused\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, FailureReason::kAccessDenied);
  EXPECT_EQ(result.error().detail, "test authorization failed");
}

TEST_F(VerdictTest, TakesTheReasonFromStderrWithoutOneInTheReport) {
  const TestResult result =
      Evaluate(Exited(1), "warning: x\niperf3: error - the server has terminated\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, FailureReason::kServerError);
  EXPECT_EQ(result.error().detail, "the server has terminated");
}

TEST_F(VerdictTest, KeepsTheTextRawAndCutsIt) {
  report_ = PaddedReport("");
  const std::string text = "iperf3: error - \xff\"" + std::string(10'000, 'x');
  const TestResult result = Evaluate(Exited(1), text);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail, "\xff\"" + std::string(kMaxErrorTextBytes - 2, 'x'));
  EXPECT_EQ(result.error().reason, FailureReason::kServerError);
}

TEST_F(VerdictTest, SaysWhyAReportIsNoMeasurement) {
  const auto detail = [this](const std::string& report) {
    report_ = PaddedReport(report);
    const TestResult result = Evaluate(Exited(0));
    return result ? "success" : result.error().detail;
  };
  EXPECT_EQ(detail("{}"), "the report lacks the sums of a tested direction");
  EXPECT_TRUE(detail("{").starts_with("the report is not a JSON object: "));
  report_ = PaddedReport::Read(TEST_DATA_DIR "/corpus/3.12/tcp_default.json");
  EXPECT_EQ(Evaluate(Exited(3)).error().detail, "iperf3 exited with status 3 after its report");
}

TEST_F(VerdictTest, RefusesATestThatDidNotRunAsAskedFor) {
  expected_.period = std::chrono::seconds(5);
  expected_.run_time = std::chrono::seconds(5);
  const TestResult result = Evaluate(Exited(0));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, FailureReason::kBadOutput);
  EXPECT_EQ(result.error().detail,
            "the report says 1.00009 s for a period of 5 s, and iperf3 ran for 5 s");
}

long ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  long size = 0;
  long resident = 0;
  statm >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST_F(VerdictTest, ReturnsTheMemoryForALargeReport) {
  if (kBuiltWithSanitizer) GTEST_SKIP() << "a sanitizer keeps what is freed";
  const PaddedReport small = PaddedReport::Read(TEST_DATA_DIR "/corpus/3.12/tcp_P32.json");
  report_ = PaddedReport(RepeatFirstInterval(small.text(), 1000));
  ASSERT_GT(report_.text().size(), std::size_t{10} << 20U);
  expected_.test.parallel = 32;
  ASSERT_TRUE(Evaluate(Exited(0)));
  const long before = ResidentBytes();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Evaluate(Exited(0)));
  EXPECT_LT(ResidentBytes() - before, 1 << 20);
  EXPECT_LT(ResidentBytes(), static_cast<long>(report_.text().size()) + (20 << 20));
}

}  // namespace
}  // namespace iperf3_exporter
