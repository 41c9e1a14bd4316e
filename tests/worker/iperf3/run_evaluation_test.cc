#include "worker/iperf3/run_evaluation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "common/build_sanitizers.h"
#include "tests/test_paths.h"
#include "tests/worker/iperf3/large_report.h"
#include "tests/worker/iperf3/padded_report.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Wait statuses as waitpid(2) returns them.
constexpr int Exited(int code) { return code << 8; }
constexpr int Signalled(int signal) { return signal; }

class RunEvaluationTest : public testing::Test {
 protected:
  TestResult Evaluate(int wait_status, std::string_view stderr_text = {}) {
    return EvaluateRun(wait_status, report_.text(), stderr_text, run_, parser_);
  }
  FailureReason Reason(int wait_status, std::string_view stderr_text = {}) {
    const TestResult result = Evaluate(wait_status, stderr_text);
    EXPECT_FALSE(result);
    return result ? FailureReason::kWorkerLost : result.error().reason;
  }

  PaddedReport report_ = PaddedReport::Read(TestData("corpus/3.12/tcp_default.json"));
  ReportParser parser_;
  RunFacts run_{.period = seconds(1), .run_time = seconds(1)};
};

TEST_F(RunEvaluationTest, SucceedsOnlyIfAllIndicationsAgree) {
  EXPECT_TRUE(Evaluate(Exited(0)));
  EXPECT_TRUE(Evaluate(Exited(0), "warning: odd\n"));
  EXPECT_EQ(Reason(Exited(1)), FailureReason::kBadOutput);
  EXPECT_FALSE(Evaluate(Signalled(SIGTERM)));
  report_ = PaddedReport("{}");
  EXPECT_EQ(Reason(Exited(0)), FailureReason::kBadOutput);
}

TEST_F(RunEvaluationTest, NamesTheSignal) {
  EXPECT_EQ(Reason(Signalled(SIGSYS)), FailureReason::kSandboxViolation);
  EXPECT_EQ(Reason(Signalled(SIGSEGV)), FailureReason::kKilled);
  EXPECT_EQ(Evaluate(Signalled(SIGSEGV)).error().detail, "iperf3 was ended by signal 11 (SIGSEGV)");
  EXPECT_EQ(Evaluate(Signalled(SIGKILL), "iperf3: error - x\n").error().detail,
            "iperf3 was ended by signal 9 (SIGKILL): x");
}

constexpr char kRefusalText[] =
    "the server refused the credentials: wrong user, password or public key, clocks that differ by "
    "more than its --time-skew-threshold, or other RSA padding (PKCS#1 up to iperf3 3.16 and with "
    "--use-pkcs1-padding, otherwise OAEP)";

TEST_F(RunEvaluationTest, ExplainsWhyCredentialsAreRefused) {
  run_.has_credentials = true;
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    const std::string path = TestData(std::string("corpus/") + version + "/err_auth_wrong.json");
    report_ = PaddedReport::Read(path);
    // 3.9 has the error only on standard error.
    const TestResult result = Evaluate(Exited(1), "iperf3: error - test authorization failed\n");
    ASSERT_FALSE(result) << version;
    EXPECT_EQ(result.error().reason, FailureReason::kAccessDenied) << version;
    EXPECT_EQ(result.error().detail, kRefusalText) << version;
  }
  EXPECT_EQ(
      Evaluate(Exited(1), "error:1C80006A:Provider routines::output buffer too small\n")
          .error()
          .detail,
      "this iperf3 cannot encrypt credentials with the installed OpenSSL: 3.16 to 3.19.1 need "
      "a correction, which Debian 13 has");
  run_.has_credentials = false;
  EXPECT_EQ(
      Evaluate(Exited(1)).error().detail,
      "test authorization failed: the server requires a user name and a password (`auth` of a "
      "module)");
}

// What a server of 3.21 and a client of 3.12 do.
TEST_F(RunEvaluationTest, TakesAConnectionClosedAtTheCredentialsAsARefusal) {
  const auto close_in = [&](const std::string& start) {
    report_ = PaddedReport("{\"start\": {" + start + R"(}, "intervals": [], "end": {},
                           "error": "control socket has closed unexpectedly"})");
    return Evaluate(Exited(0)).error();
  };
  const std::string agreed = R"("connected": [], "connecting_to": {})";
  EXPECT_EQ(close_in(agreed).reason, FailureReason::kServerError);
  run_.has_credentials = true;
  EXPECT_EQ(close_in(agreed).reason, FailureReason::kAccessDenied);
  EXPECT_EQ(close_in(agreed).detail, kRefusalText);
  EXPECT_EQ(close_in(R"("connected": [])").reason, FailureReason::kServerError);
  EXPECT_EQ(close_in(agreed + R"(, "test_start": {})").reason, FailureReason::kServerError);
}

TEST_F(RunEvaluationTest, TakesAnUnreadablePublicKeyAsAnInvalidOption) {
  report_ = PaddedReport("");
  EXPECT_EQ(Reason(Exited(1),
                   "iperf3: error:1E08010C:DECODER routines::unsupported\n\niperf3: "
                   "parameter error - you must specify a username, password, and path "
                   "to a valid RSA public key\n"),
            FailureReason::kInvalidOption);
}

// The members of `start` by which the phase is known.
constexpr char kConnected[] = R"("connected": [])";
constexpr char kAgreed[] = R"("connected": [], "connecting_to": {})";
constexpr char kCreating[] = R"("connected": [], "connecting_to": {}, "sndbuf_actual": 1)";
constexpr char kCreated[] = R"("connected": [{}], "connecting_to": {}, "sndbuf_actual": 1)";
constexpr char kRunning[] =
    R"("connected": [{}], "connecting_to": {}, "sndbuf_actual": 1, "test_start": {})";

TEST_F(RunEvaluationTest, TrustsAnErrorOnlyInItsPhase) {
  const auto reason = [this](const std::string& start, const std::string& error) {
    report_ =
        PaddedReport(R"({"start": {)" + start + R"(}, "end": {}, "error": ")" + error + R"("})");
    return Reason(Exited(0));
  };
  const std::string refused = "unable to connect to server: Connection refused";
  const std::string blocked = "unable to write to stream socket: Operation not permitted";
  EXPECT_EQ(reason(kConnected, refused), FailureReason::kConnectionRefused);
  EXPECT_EQ(reason("", refused), FailureReason::kConnectionRefused);
  EXPECT_EQ(reason(kCreating, blocked), FailureReason::kUnreachable);
  for (const char* start : {kAgreed, kCreated, kRunning}) {
    EXPECT_EQ(reason(start, refused), FailureReason::kServerError) << start;
    EXPECT_EQ(reason(start, blocked), FailureReason::kServerError) << start;
  }
  // The stream of the other direction is still being created.
  run_.test.direction = Direction::kBidirectional;
  EXPECT_EQ(reason(kCreated, blocked), FailureReason::kUnreachable);
  // 3.9 to 3.11 print the error only on standard error.
  report_ = PaddedReport(R"({"start": {)" + std::string(kAgreed) + R"(}, "end": {}})");
  EXPECT_EQ(Reason(Exited(1), "iperf3: error - " + refused + "\n"), FailureReason::kServerError);
}

class ExplainStopTest : public RunEvaluationTest {
 protected:
  TestFailure Explain(const std::string& start) {
    report_ = PaddedReport(R"({"start": {)" + start + R"(}, "end": {}, "error": "interrupt"})");
    return Explain();
  }
  TestFailure Explain() { return ExplainStop(stopped_, report_.text(), run_, parser_); }

  TestFailure stopped_{FailureReason::kDeadline, "still running"};
};

TEST_F(ExplainStopTest, BlamesASilentServer) {
  run_.run_time = seconds(3);
  for (const char* start : {"", kConnected, kAgreed, kCreating, kCreated}) {
    const TestFailure failure = Explain(start);
    EXPECT_EQ(failure.reason, FailureReason::kNoResponse) << start;
    EXPECT_TRUE(failure.detail.find("server did not") != std::string::npos) << failure.detail;
  }
}

// It may be far away.
TEST_F(ExplainStopTest, BlamesTheDeadlineIfTheServerHadLittleTime) {
  run_.run_time = milliseconds(2999);
  for (const char* start : {"", kConnected, kAgreed, kCreating, kCreated}) {
    const TestFailure failure = Explain(start);
    EXPECT_EQ(failure.reason, FailureReason::kDeadline) << start;
    EXPECT_TRUE(failure.detail.find("server did not") != std::string::npos) << failure.detail;
  }
}

TEST_F(RunEvaluationTest, BlamesTheDeadlineIfItLeftNoTimeToConnect) {
  report_ = PaddedReport(
      R"({"start": {}, "end": {}, "error": "unable to connect to server: Connection timed out"})");
  EXPECT_EQ(Reason(Exited(0)), FailureReason::kConnectTimeout);
  run_.connect_was_cut = true;
  EXPECT_EQ(Reason(Exited(0)), FailureReason::kDeadline);
  report_ = PaddedReport(
      R"({"start": {}, "end": {}, "error": "unable to connect to server: Connection refused"})");
  EXPECT_EQ(Reason(Exited(0)), FailureReason::kConnectionRefused);
}

// On a long path, many streams take longer to connect than the test.
TEST_F(ExplainStopTest, DoesNotBlameTheServerForManyStreams) {
  run_.test.parallel = 64;
  run_.run_time = seconds(30);
  TestFailure failure =
      Explain(R"("connected": [{}, {}], "connecting_to": {}, "sndbuf_actual": 1)");
  EXPECT_EQ(failure.reason, FailureReason::kDeadline);
  EXPECT_EQ(failure.detail, "still running: 2 of 64 streams were connected, one after the other");
  // A firewall lets none through.
  EXPECT_EQ(Explain(kCreating).reason, FailureReason::kNoResponse);
  failure = Explain(kRunning);
  EXPECT_EQ(failure.reason, FailureReason::kDeadline);
  EXPECT_EQ(failure.detail,
            "still running: a test of this kind needs 70 round trips beyond its period, with one "
            "for each of 63 further streams, and 29.00 s were left for them");
  run_.run_time = seconds(1 + 3 + 63);
  EXPECT_EQ(Explain(kRunning).reason, FailureReason::kNoResponse);
}

TEST_F(ExplainStopTest, CountsTheStreamOfEachDirectionOnce) {
  run_.test.direction = Direction::kBidirectional;
  run_.run_time = seconds(3);
  EXPECT_EQ(Explain(kRunning).detail,
            "still running: a test of this kind needs 8 round trips beyond its period, and 2.00 s "
            "were left for them");
  run_.run_time = seconds(1 + 3);
  EXPECT_EQ(Explain(kRunning).reason, FailureReason::kNoResponse);
  run_.test.parallel = 2;
  EXPECT_EQ(Explain(kRunning).detail,
            "still running: a test of this kind needs 10 round trips beyond its period, with one "
            "for each of 2 further streams, and 3.00 s were left for them");
}

TEST_F(ExplainStopTest, BlamesTheDeadlineIfTheTestNeededMoreTime) {
  run_.test.omit_seconds = 1;
  run_.run_time = milliseconds(4990);
  EXPECT_EQ(Explain(kRunning).reason, FailureReason::kDeadline);
  EXPECT_EQ(Explain(kRunning).detail,
            "still running: a test of this kind needs 7 round trips beyond its period, and "
            "2.99 s were left for them");
  run_.run_time = seconds(5);
  EXPECT_EQ(Explain(kRunning).reason, FailureReason::kNoResponse);
  // Killed before it could report.
  report_ = PaddedReport("");
  EXPECT_EQ(Explain().reason, FailureReason::kNoResponse);
  run_.run_time = milliseconds(4999);
  EXPECT_EQ(Explain(), stopped_);
  run_.run_time = seconds(5);
  run_.test.bytes = 1;
  EXPECT_EQ(Explain(), stopped_);
  EXPECT_EQ(Explain(kRunning).detail,
            "still running: 5.00 s with the round trips to begin and to end were too few for its "
            "bytes");
}

TEST_F(ExplainStopTest, KeepsAnyOtherReason) {
  stopped_.reason = FailureReason::kCancelled;
  EXPECT_EQ(Explain(kConnected), stopped_);
}

TEST_F(RunEvaluationTest, PrefersTheReasonInTheReportToStderr) {
  report_ = PaddedReport(R"({"end": {}, "error": "test authorization failed"})");
  const TestResult result = Evaluate(Exited(1), "iperf3: error - Connection refused\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, FailureReason::kAccessDenied);
}

TEST_F(RunEvaluationTest, FallsBackToTheReasonOnStderr) {
  const TestResult result =
      Evaluate(Exited(1), "warning: x\niperf3: error - the server has terminated\n");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, FailureReason::kServerError);
  EXPECT_EQ(result.error().detail, "the server has terminated");
}

TEST_F(RunEvaluationTest, TruncatesTheRawText) {
  report_ = PaddedReport("");
  const std::string text = "iperf3: error - \xff\"" + std::string(10'000, 'x');
  const TestResult result = Evaluate(Exited(1), text);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail, "\xff\"" + std::string(kMaxErrorTextBytes - 2, 'x'));
  EXPECT_EQ(result.error().reason, FailureReason::kServerError);
}

TEST_F(RunEvaluationTest, ReportsWhyThereIsNoMeasurement) {
  const auto detail = [this](const std::string& report) {
    report_ = PaddedReport(report);
    const TestResult result = Evaluate(Exited(0));
    return result ? "success" : result.error().detail;
  };
  EXPECT_EQ(detail("{}"), "the report lacks the sums of a tested direction");
  EXPECT_TRUE(detail("{").starts_with("the report is not a JSON object: "));
  report_ = PaddedReport::Read(TestData("corpus/3.12/tcp_default.json"));
  EXPECT_EQ(Evaluate(Exited(3)).error().detail, "iperf3 exited with status 3 after its report");
}

TEST_F(RunEvaluationTest, RejectsATestThatDidNotRunAsRequested) {
  run_.period = seconds(5);
  run_.run_time = seconds(5);
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

TEST_F(RunEvaluationTest, ReturnsTheMemoryForALargeReport) {
  if (kBuiltWithSanitizer) GTEST_SKIP() << "a sanitizer keeps what is freed";
  const PaddedReport small = PaddedReport::Read(TestData("corpus/3.12/tcp_P32.json"));
  report_ = PaddedReport(RepeatFirstInterval(small.text(), 1000));
  ASSERT_GT(report_.text().size(), std::size_t{10} << 20U);
  run_.test.parallel = 32;
  ASSERT_TRUE(Evaluate(Exited(0)));
  const long before = ResidentBytes();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Evaluate(Exited(0)));
  EXPECT_LT(ResidentBytes() - before, 1 << 20);
  EXPECT_LT(ResidentBytes(), static_cast<long>(report_.text().size()) + (20 << 20));
}

class MeasurementCheckTest : public testing::Test {
 protected:
  static DirectionMeasurement Direction(double time, double sent, double received) {
    DirectionMeasurement direction;
    direction.sent_seconds = time;
    direction.received_seconds = time + 1e-5;
    direction.sent_bytes = sent;
    direction.received_bytes = received;
    return direction;
  }

  std::optional<FailureReason> Reason() const {
    Measurement measurement;
    measurement.remote_cpu.total = remote_cpu_;
    (is_download_ ? measurement.download : measurement.upload) = direction_;
    const auto failure = CheckMeasurement(measurement, run_);
    return failure ? std::optional(failure->reason) : std::nullopt;
  }
  bool Agrees() const {
    const auto reason = Reason();
    EXPECT_TRUE(!reason || reason == FailureReason::kBadOutput);
    return !reason;
  }

  DirectionMeasurement direction_ = Direction(10, 1e9, 1e9);
  bool is_download_ = false;
  double remote_cpu_ = 0.01;
  RunFacts run_{.period = seconds(10), .run_time = milliseconds(10'050)};
};

TEST_F(MeasurementCheckTest, AcceptsAnOrdinaryTest) {
  EXPECT_TRUE(Agrees());
  is_download_ = true;
  EXPECT_TRUE(Agrees());
}

// A server that answers the cookie with DISPLAY_RESULTS alone: nothing ran, 0 s, 0 bytes.
TEST_F(MeasurementCheckTest, RejectsATestOfZeroSeconds) {
  direction_ = Direction(0, 0, 0);
  run_.run_time = milliseconds(40);
  EXPECT_FALSE(Agrees());
  run_.test.bytes = 1;
  EXPECT_FALSE(Agrees());
}

// The same 0.2 s into a test of 10 s: iperf3 takes the host's uptime for the length of the test.
TEST_F(MeasurementCheckTest, RejectsATestLongerThanTheRunTime) {
  direction_ = Direction(1887, 1e6, 1e6);
  run_.run_time = milliseconds(240);
  EXPECT_FALSE(Agrees());
  // Above two days it is left out as implausible.
  direction_.sent_seconds = direction_.received_seconds = std::nullopt;
  EXPECT_FALSE(Agrees());
  is_download_ = true;
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, ChecksThePeersSeconds) {
  direction_.received_seconds = 1887;
  EXPECT_FALSE(Agrees());
  direction_.received_seconds = 5;
  EXPECT_FALSE(Agrees());
  direction_.received_seconds = std::nullopt;  // null: fails no test
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, RequiresThePeriodUnlessTheTestEndsByBytes) {
  direction_ = Direction(8.9, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  direction_ = Direction(9.1, 1e9, 1e9);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(0.004, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  run_.test.bytes = 1;
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, ToleratesAPeersClock) {
  direction_.received_seconds = 11;
  EXPECT_TRUE(Agrees());
  direction_.received_seconds = 12;
  EXPECT_FALSE(Agrees());
  // A share of a long test.
  run_.period = seconds(1000);
  run_.run_time = seconds(1000);
  direction_.sent_seconds = 1000;
  direction_.received_seconds = 1010;
  EXPECT_TRUE(Agrees());
  direction_.received_seconds = 1012;
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, RejectsMoreReceivedThanSent) {
  direction_ = Direction(10, 1e9, 1e9 + 2 * 131'072);
  EXPECT_TRUE(Agrees());
  direction_.received_bytes = 1e9 + 2 * 131'072 + 1;
  EXPECT_FALSE(Agrees());
  run_.test.parallel = 2;
  EXPECT_TRUE(Agrees());
  direction_.received_bytes = 1e9 + 4e6;
  EXPECT_FALSE(Agrees());
  run_.test.length_bytes = 1'000'000;
  EXPECT_TRUE(Agrees());
}

// A slow link: since 3.16 the sender counts whole blocks only, and with omit the first of them were
// omitted.
TEST_F(MeasurementCheckTest, AcceptsBytesOfUncountedBlocks) {
  run_.run_time = milliseconds(12'050);
  direction_ = Direction(10, 0, 33304);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 0, 2 * 131'072 + 1);
  EXPECT_FALSE(Agrees());
  run_.test.omit_seconds = 1;
  EXPECT_TRUE(Agrees());
  run_.test.omit_seconds = 0;
  run_.test.protocol = Protocol::kUdp;
  direction_ = Direction(10, 0, 1);
  EXPECT_FALSE(Agrees());
}

// What was in flight when the server stopped omitting was sent before, in the omitted seconds.
TEST_F(MeasurementCheckTest, BoundsWhatWasSentInTheOmittedSeconds) {
  run_.run_time = milliseconds(12'050);
  run_.test.omit_seconds = 2;
  direction_ = Direction(10, 1e9, 1.2e9);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 1e9, 1.3e9);
  EXPECT_FALSE(Agrees());
  run_.test.window_bytes = 64 << 20;
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 1, 66e6);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 125e3, 1e12);
  EXPECT_FALSE(Agrees());
  run_.test.protocol = Protocol::kUdp;
  EXPECT_FALSE(Agrees());
}

// A server that asks for the results before the bytes were sent.
TEST_F(MeasurementCheckTest, RequiresTheBytesThatWereAskedFor) {
  run_.test.bytes = 1'000'000;
  direction_ = Direction(3, 1e6, 5e5);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(3, 999'999, 999'999);
  EXPECT_FALSE(Agrees());
  is_download_ = true;
  EXPECT_FALSE(Agrees());
  direction_.sent_bytes = 1e6;  // by the server's own word
  EXPECT_FALSE(Agrees());
  direction_.received_bytes = 1e6;
  EXPECT_TRUE(Agrees());
}

// Received bytes of the omitted seconds count, but are not reported; sent ones do not count.
TEST_F(MeasurementCheckTest, AcceptsABurstInTheOmittedSeconds) {
  run_.test.bytes = 3'276'800;
  run_.test.omit_seconds = 1;
  direction_ = Direction(3.2, 396'056, 396'056);  // a real one
  EXPECT_FALSE(Agrees());
  is_download_ = true;
  run_.test.direction = Direction::kDownload;
  EXPECT_TRUE(Agrees());
  run_.test.omit_seconds = 0;
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, RequiresTheOmittedSecondsBesideTheMeasuredOnes) {
  run_.test.omit_seconds = 1;
  direction_ = Direction(10.04, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  run_.run_time = milliseconds(11'050);
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, AcceptsOmittedSecondsThatEndLate) {
  run_.run_time = milliseconds(11'050);
  direction_ = Direction(8.85, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  run_.test.omit_seconds = 1;
  EXPECT_TRUE(Agrees());
  direction_ = Direction(8.55, 1e9, 1e9);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(8.45, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  run_.period = seconds(1);
  run_.run_time = milliseconds(2'050);
  direction_ = Direction(0.65, 1e9, 1e9);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(0.55, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
}

// A server that ends the test with the omitted seconds, or a path that is faster than expected.
TEST_F(MeasurementCheckTest, RequiresTimeAfterTheOmittedSeconds) {
  run_.test.bytes = 20'000'000;
  run_.test.omit_seconds = 1;
  run_.test.direction = Direction::kDownload;
  is_download_ = true;
  direction_ = Direction(3e-5, 131'072, 131'072);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
  direction_ = Direction(0.19, 1e6, 1e6);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
  direction_ = Direction(0.21, 1e6, 1e6);
  EXPECT_EQ(Reason(), std::nullopt);
  direction_ = Direction(2, 5e6, 0);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
}

// The other side of a short test was measured for about as long.
TEST_F(MeasurementCheckTest, ComparesTheSecondsOfATestOfBytes) {
  run_.test.bytes = 1;
  direction_ = Direction(0.4, 1e6, 1e6);
  direction_.received_seconds = 0.16;
  EXPECT_TRUE(Agrees());
  direction_.received_seconds = 0.14;
  EXPECT_FALSE(Agrees());
  is_download_ = true;
  direction_ = Direction(0.4, 1e6, 1e6);
  direction_.sent_seconds = 0.14;
  EXPECT_FALSE(Agrees());
  direction_ = Direction(0.001, 1e6, 1e6);
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, ABitrateBoundsWhatWasSentInTheOmittedSeconds) {
  run_.run_time = milliseconds(12'050);
  run_.test.omit_seconds = 1;
  run_.test.bitrate_bits_per_second = 1'000'000;
  direction_ = Direction(10, 125e4, 150e4);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 125e4, 160e4);
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, ALowBitrateHasShortBlocks) {
  run_.test.bitrate_bits_per_second = 64'000;
  run_.test.parallel = 32;
  direction_ = Direction(10, 256e3, 1.3e6);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 256e3, 1.4e6);
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, ToleratesDuplicateUdpPackets) {
  run_.test.protocol = Protocol::kUdp;
  direction_ = Direction(10, 1e6, 2e6);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 1e6, 2e6 + 1);
  EXPECT_FALSE(Agrees());
}

// A reverse test whose datagrams hold only zeros.
TEST_F(MeasurementCheckTest, RejectsBytesWithoutPackets) {
  run_.test.protocol = Protocol::kUdp;
  is_download_ = true;
  direction_ = Direction(10, 1.2e6, 1.2e6);
  direction_.received_packets = 0;
  EXPECT_FALSE(Agrees());
  direction_.received_bytes = 0;  // total loss is a result
  EXPECT_TRUE(Agrees());
}

// A path that drops every large packet, or a peer that reads or sends nothing.
TEST_F(MeasurementCheckTest, RequiresDataAtTheReceiver) {
  direction_ = Direction(10, 1e6, 0);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
  is_download_ = true;
  EXPECT_EQ(Reason(), FailureReason::kNoData);
  direction_ = Direction(10, 0, 0);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
}

TEST_F(MeasurementCheckTest, AcceptsTheLossOfAllUdpPackets) {
  run_.test.protocol = Protocol::kUdp;
  direction_ = Direction(10, 1e6, 0);
  EXPECT_EQ(Reason(), std::nullopt);
  direction_ = Direction(10, 0, 0);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
}

// A few bytes: the server may end the test before it has read them.
TEST_F(MeasurementCheckTest, DoesNotTakeAShortTestForTheLossOfAllPackets) {
  run_.test.protocol = Protocol::kUdp;
  run_.test.bytes = 1000;
  direction_ = Direction(0.19, 1448, 0);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
  direction_ = Direction(0.21, 1448, 0);
  EXPECT_EQ(Reason(), std::nullopt);
  direction_ = Direction(0.001, 2896, 1448);
  EXPECT_EQ(Reason(), std::nullopt);
}

TEST_F(MeasurementCheckTest, SaysThatATestWasTooShort) {
  const auto detail = [this](double sent_seconds) {
    Measurement measurement;
    measurement.remote_cpu.total = remote_cpu_;
    measurement.upload = Direction(sent_seconds, 1e6, 0);
    return CheckMeasurement(measurement, run_)->detail;
  };
  EXPECT_EQ(detail(10),
            "the server received nothing, or less than a block of 131072 bytes: iperf3 3.16 and "
            "newer counts whole ones");
  run_.test.protocol = Protocol::kUdp;
  run_.test.bytes = 1000;
  EXPECT_EQ(detail(0.0012),
            "the server received nothing: the test ended after 0.0012 s, too soon to measure");
  run_.test.protocol = Protocol::kTcp;
  run_.test.bytes = 1000;
  EXPECT_EQ(detail(0.0012),
            "the server received nothing: the test ended after 0.0012 s, too soon to measure");
}

// DISPLAY_RESULTS where EXCHANGE_RESULTS was due: iperf3 prints zeros for what the server has not
// told.
TEST_F(MeasurementCheckTest, RequiresTheServersResults) {
  remote_cpu_ = 0;
  direction_ = Direction(10, 1e6, 0);
  EXPECT_EQ(Reason(), FailureReason::kBadOutput);
  run_.test.protocol = Protocol::kUdp;
  EXPECT_EQ(Reason(), FailureReason::kBadOutput);
  is_download_ = true;
  direction_ = Direction(10, 0, 1e5);
  EXPECT_EQ(Reason(), FailureReason::kBadOutput);
  run_.test.protocol = Protocol::kTcp;
  EXPECT_EQ(Reason(), FailureReason::kBadOutput);
  // It sends them: what is missing is the data.
  direction_ = Direction(10, 1e6, 0);
  EXPECT_EQ(Reason(), FailureReason::kNoData);
  // A server whose clock is too coarse to see the processor time of a short test.
  direction_ = Direction(10, 1e5, 1e5);
  EXPECT_EQ(Reason(), std::nullopt);
}

// Results that list no stream: iperf3 prints its own seconds as the server's.
TEST_F(MeasurementCheckTest, RequiresTheResultsOfTheServersStreams) {
  run_.run_time = milliseconds(12'050);
  run_.test.protocol = Protocol::kUdp;
  direction_ = Direction(10, 1e6, 0);
  EXPECT_EQ(Reason(), std::nullopt);
  direction_.received_seconds = 10;
  EXPECT_EQ(Reason(), FailureReason::kBadOutput);
  direction_.received_bytes = 1e6;
  EXPECT_EQ(Reason(), std::nullopt);
  is_download_ = true;
  run_.test.protocol = Protocol::kTcp;
  run_.test.omit_seconds = 1;
  EXPECT_EQ(Reason(), std::nullopt);
  direction_.sent_bytes = 0;
  EXPECT_EQ(Reason(), FailureReason::kBadOutput);
}

TEST_F(MeasurementCheckTest, ChecksBothDirections) {
  Measurement measurement;
  measurement.upload = measurement.download = direction_;
  EXPECT_FALSE(CheckMeasurement(measurement, run_));
  measurement.download->received_seconds = 0;
  EXPECT_TRUE(CheckMeasurement(measurement, run_));
}

}  // namespace
}  // namespace iperf3_exporter
