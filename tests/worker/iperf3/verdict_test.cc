#include "worker/iperf3/verdict.h"

#include <gtest/gtest.h>

#include <csignal>

#include "tests/worker/iperf3/padded_report.h"
#include "worker/iperf3/failure_text.h"

namespace iperf3_exporter {
namespace {

class VerdictTest : public testing::Test {
 protected:
  Verdict JudgeRun(ProcessEnd end, std::string_view stderr_text = {}) {
    return Judge(end, report_.text(), stderr_text, Protocol::kTcp, Direction::kUpload, parser_);
  }

  PaddedReport report_ = PaddedReport::Read(TEST_DATA_DIR "/corpus/3.12/tcp_default.json");
  ReportParser parser_;
};

TEST_F(VerdictTest, SucceedsOnlyWithAllSigns) {
  EXPECT_TRUE(JudgeRun({}).succeeded);
  EXPECT_TRUE(JudgeRun({}, "warning: odd\n").succeeded);
  EXPECT_EQ(JudgeRun({.exit_code = 1}).reason, FailureReason::kBadOutput);
  EXPECT_FALSE(JudgeRun({.exit_code = 1}).succeeded);
  EXPECT_FALSE(JudgeRun({.signal = SIGTERM}).succeeded);
  report_ = PaddedReport("{}");
  EXPECT_FALSE(JudgeRun({}).succeeded);
  EXPECT_EQ(JudgeRun({}).reason, FailureReason::kBadOutput);
}

TEST_F(VerdictTest, NamesTheSignal) {
  EXPECT_EQ(JudgeRun({.signal = SIGSYS}).reason, FailureReason::kSandboxViolation);
  EXPECT_EQ(JudgeRun({.signal = SIGSEGV}).reason, FailureReason::kKilled);
}

TEST_F(VerdictTest, TakesTheReasonFromTheReportBeforeStderr) {
  report_ = PaddedReport(R"({"end": {}, "error": "test authorization failed"})");
  const Verdict verdict = JudgeRun({.exit_code = 1}, "iperf3: error - Connection refused\n");
  EXPECT_EQ(verdict.reason, FailureReason::kAccessDenied);
  EXPECT_EQ(verdict.error_text, "test authorization failed");
}

TEST_F(VerdictTest, TakesTheReasonFromStderrWithoutOneInTheReport) {
  const Verdict verdict =
      JudgeRun({.exit_code = 1}, "warning: x\niperf3: error - the server has terminated\n");
  EXPECT_EQ(verdict.reason, FailureReason::kServerError);
  EXPECT_EQ(verdict.error_text, "the server has terminated");
}

TEST_F(VerdictTest, KeepsTheTextRawAndCutsIt) {
  report_ = PaddedReport("");
  const std::string text = "iperf3: error - \xff\"" + std::string(10'000, 'x');
  const Verdict verdict = JudgeRun({.exit_code = 1}, text);
  EXPECT_EQ(verdict.error_text, "\xff\"" + std::string(kMaxErrorTextBytes - 2, 'x'));
  EXPECT_EQ(verdict.reason, FailureReason::kServerError);
}

TEST(FailureTextTest, KnowsWhyAConnectFailed) {
  for (const std::string before :
       {"unable to connect to server: ",
        "unable to connect to server - server may have stopped running or use a different port, "
        "firewall issue, etc.: "}) {
    EXPECT_EQ(ReasonOfText(before + "Connection refused"), FailureReason::kConnectionRefused);
    EXPECT_EQ(ReasonOfText(before + "Connection timed out"), FailureReason::kConnectTimeout);
    EXPECT_EQ(ReasonOfText(before + "Operation now in progress"), FailureReason::kConnectTimeout);
    EXPECT_EQ(ReasonOfText(before + "No route to host"), FailureReason::kUnreachable);
    EXPECT_EQ(ReasonOfText(before + "Network is unreachable"), FailureReason::kUnreachable);
    EXPECT_EQ(ReasonOfText(before + "Cannot assign requested address"),
              FailureReason::kUnreachable);
    EXPECT_EQ(ReasonOfText(before + "Name or service not known"), FailureReason::kResolve);
  }
}

TEST(FailureTextTest, DoesNotTakeALaterSilenceForAConnect) {
  EXPECT_EQ(ReasonOfText("unable to read from stream socket: Connection timed out"),
            FailureReason::kServerError);
  EXPECT_EQ(ReasonOfText("control socket has closed unexpectedly"), FailureReason::kServerError);
}

TEST(FailureTextTest, TakesTheUnknownForTheServers) {
  EXPECT_EQ(ReasonOfText(""), FailureReason::kServerError);
  EXPECT_EQ(ReasonOfText("idle timeout for receiving data"), FailureReason::kServerError);
}

TEST(FailureTextTest, FindsItsOwnLineOnStderr) {
  EXPECT_EQ(ExtractErrorLine(""), "");
  EXPECT_EQ(ExtractErrorLine("warning: UDP block size\n"), "");
  EXPECT_EQ(ExtractErrorLine("warning: x\niperf3: error - y\niperf3: error - z\n"), "y");
  EXPECT_EQ(ExtractErrorLine("iperf3: parameter error - p\n\nUsage: iperf3"),
            "parameter error - p");
  EXPECT_EQ(ExtractErrorLine("iperf3: unrecognized option '--x'"), "unrecognized option '--x'");
}

}  // namespace
}  // namespace iperf3_exporter
