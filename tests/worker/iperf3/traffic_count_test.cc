#include "worker/iperf3/traffic_count.h"

#include "tests/worker/iperf3/report_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TestResult kFailed = tl::unexpected(TestFailure{FailureReason::kServerError, ""});

double NumberAt(const std::string& text, const char* pointer) {
  return nlohmann::json::parse(text)[nlohmann::json::json_pointer(pointer)].get<double>();
}

class TrafficCountTest : public ReportFixture {
 protected:
  static std::optional<Traffic> Count(const std::string& text, const TestOptions& test,
                                      const TestResult& result = kFailed,
                                      std::chrono::nanoseconds run_time = milliseconds(1500)) {
    const PaddedReport report(text);
    return CountTraffic(result, report.text(), {.test = test, .run_time = run_time}, false);
  }
  // What payloads of so many bytes cost.
  static std::optional<Traffic> Of(double upload, double download, const TestOptions& test = {}) {
    return EstimateTraffic(test, false, {.bytes = upload}, {.bytes = download}, 1448);
  }
  static std::optional<Traffic> CountCase(const std::string& path, const TestOptions& test,
                                          std::chrono::nanoseconds run_time = milliseconds(1500)) {
    return Count(ReadCorpus(path), test, kFailed, run_time);
  }
};

const TestOptions kUpload{};
const TestOptions kDownload{.direction = Direction::kDownload};
const TestOptions kBoth{.direction = Direction::kBidirectional};
const TestOptions kUdp{.protocol = Protocol::kUdp};

TEST_F(TrafficCountTest, TakesASuccessFromItsMeasurement) {
  Measurement measurement;
  measurement.upload = DirectionMeasurement{.sent_bytes = 5e6, .received_bytes = 4e6};
  EXPECT_EQ(Count("not read", kUpload, measurement), Of(5e6, 0));
  measurement.upload->retransmits = 3;
  EXPECT_EQ(Count("", kUpload, measurement),
            EstimateTraffic({}, false, {.bytes = 5e6, .retransmits = 3}, {}));
  measurement.download = DirectionMeasurement{.sent_bytes = 3e6, .received_bytes = 2e6};
  EXPECT_EQ(Count("", kBoth, measurement),
            EstimateTraffic({}, false, {.bytes = 5e6, .retransmits = 3}, {.bytes = 3e6}));
  measurement.upload.reset();
  EXPECT_EQ(Count("", kDownload, measurement), Of(0, 3e6));
  // A number that iperf3 cannot have measured is missing: the report tells.
  measurement.download->received_bytes.reset();
  EXPECT_EQ(Count("", kDownload, measurement), std::nullopt);
}

TEST_F(TrafficCountTest, BelievesAServerOnlyAsFarAsBuffersReach) {
  Measurement measurement;
  measurement.download = DirectionMeasurement{.sent_bytes = 1e12, .received_bytes = 2e6};
  EXPECT_EQ(Count("", kDownload, measurement), Of(0, 2e6 + (64 << 20)));
  measurement.download->sent_bytes = 1e6;
  EXPECT_EQ(Count("", kDownload, measurement), Of(0, 2e6));
  // Lost packets of UDP do not arrive.
  measurement.download->sent_bytes = 1e12;
  const TestOptions udp{.protocol = Protocol::kUdp, .direction = Direction::kDownload};
  EXPECT_EQ(Count("", udp, measurement), EstimateTraffic(udp, false, {}, {.bytes = 2e6}));
}

TEST_F(TrafficCountTest, UsesTheSizeOfTheDatagrams) {
  Measurement measurement;
  measurement.upload = DirectionMeasurement{.sent_bytes = 5e6, .sent_packets = 50'000};
  EXPECT_EQ(Count("", kUdp, measurement), EstimateTraffic(kUdp, false, {.bytes = 5e6}, {}, 100));
}

TEST_F(TrafficCountTest, AddsTheOmittedSeconds) {
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    TestOptions test = kUpload;
    test.omit_seconds = 1;
    const std::string text = ReadCorpus(std::string(version) + "/tcp_omit");
    const TestResult result = Parse(text, Protocol::kTcp, Direction::kUpload, 1, 1);
    ASSERT_TRUE(result) << version;
    const double omitted = NumberAt(text, "/intervals/0/sum/bytes");
    const double sent = NumberAt(text, "/end/sum_sent/bytes");
    const auto traffic = Count(text, test, result);
    ASSERT_TRUE(traffic);
    EXPECT_NEAR(static_cast<double>(traffic->upload_bytes), (omitted + sent) * 1500 / 1448, 1e7)
        << version;
  }
}

// iperf3 3.12 does so in every fourth test or so.
TEST_F(TrafficCountTest, AddsAnOmittedIntervalThatIsNotPrinted) {
  const std::string text = R"({"start": {"test_start": {}}, "intervals": [
      {"sum": {"start": 0, "end": 1.001, "bytes": 500000, "omitted": true}},
      {"sum": {"start": 1, "end": 1, "bytes": 0, "omitted": false}},
      {"sum": {"start": 0, "end": 1, "bytes": 600000, "omitted": false}}],
      "end": {"sum_sent": {"bytes": 600000}}})";
  TestOptions test{.omit_seconds = 1};
  EXPECT_EQ(Count(text, test), Of(1.1e6, 0));
  test.omit_seconds = 2;
  const auto traffic = Count(text, test);
  ASSERT_TRUE(traffic);
  EXPECT_NEAR(static_cast<double>(traffic->upload_bytes), 1.7e6 * 1500 / 1448, 2e3);
  test.bitrate_bits_per_second = 8'000'000;
  EXPECT_NEAR(static_cast<double>(Count(text, test).value_or(Traffic{}).upload_bytes),
              (1.1e6 + 0.999e6) * 1500 / 1448, 2e3);
}

// iperf3 leaves out an interval that is too short.
TEST_F(TrafficCountTest, TakesTheTotalIfIntervalsAreMissing) {
  TestOptions test = kUpload;
  test.omit_seconds = 1;
  const std::string text = R"({"start": {"test_start": {}}, "intervals": [
      {"sum": {"start": 0, "end": 1, "bytes": 500000, "omitted": true}},
      {"sum": {"start": 0, "end": 1, "bytes": 900000, "omitted": false}}],
      "end": {"sum_sent": {"bytes": 1000000}}})";
  EXPECT_EQ(Count(text, test), Of(1.5e6, 0));
}

TEST_F(TrafficCountTest, CountsTestsThatWereTerminated) {
  EXPECT_EQ(CountCase("3.12/err_client_sigterm_reverse", kDownload), Of(0, 1048576));
  EXPECT_EQ(CountCase("3.9/err_client_sigterm_reverse", kDownload), Of(0, 917504));
  EXPECT_EQ(CountCase("3.12/err_client_sigterm_bidir", kBoth), Of(1048576, 1048576));
  EXPECT_EQ(CountCase("3.9/err_client_sigterm_bidir", kBoth), Of(917504, 917504));
  EXPECT_EQ(CountCase("3.18/err_client_sigterm_bidir", kBoth), Of(917504, 917504));
  EXPECT_EQ(CountCase("3.9/err_client_sigterm_udp", kUdp),
            EstimateTraffic(kUdp, false, {.bytes = 884736}, {}, 32768));
  EXPECT_EQ(CountCase("3.12/err_client_sigterm_udp", kUdp),
            EstimateTraffic(kUdp, false, {.bytes = 950272}, {}, 32768));
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    const auto traffic = CountCase(std::string(version) + "/err_client_sigterm", kUpload);
    ASSERT_TRUE(traffic) << version;
    const double bytes =
        NumberAt(ReadCorpus(std::string(version) + "/err_client_sigterm"), "/end/sum_sent/bytes");
    EXPECT_NEAR(static_cast<double>(traffic->upload_bytes), bytes * 1500 / 1448, 3e4) << version;
  }
}

// iperf3 prints the last interval twice, and nothing about the time after it.
TEST_F(TrafficCountTest, EstimatesTheTimeAfterTheLastIntervalIfTheServerVanished) {
  TestOptions limited = kUpload;
  limited.bitrate_bits_per_second = 50'000'000;
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    const std::string path = std::string(version) + "/err_server_sigkill";
    const std::string text = ReadCorpus(path);
    const double bytes = NumberAt(text, "/intervals/0/sum/bytes");
    const double end = NumberAt(text, "/intervals/0/sum/end");
    const double retransmits = NumberAt(text, "/intervals/0/sum/retransmits");
    const auto expected = [&](double rate) {
      return EstimateTraffic({}, false,
                             {.bytes = bytes + rate * (1.5 - end), .retransmits = retransmits}, {});
    };
    const auto near = [](const std::optional<Traffic>& traffic, const Traffic& other) {
      ASSERT_TRUE(traffic);
      EXPECT_NEAR(static_cast<double>(traffic->Total()), static_cast<double>(other.Total()), 2000);
    };
    near(CountCase(path, limited), expected(6.25e6));
    near(CountCase(path, kUpload), expected(bytes / end));
    // Never less than the intervals.
    near(CountCase(path, limited, seconds(1)), expected(0));
  }
  for (const char* version : {"3.9", "3.12", "3.18"}) {
    const auto traffic = CountCase(std::string(version) + "/err_server_sigkill_bidir", kBoth);
    ASSERT_TRUE(traffic) << version;
    EXPECT_NEAR(static_cast<double>(traffic->upload_bytes), 655360 * 1.5 * 1.054, 20000) << version;
    EXPECT_NEAR(static_cast<double>(traffic->download_bytes), 655360 * 1.5 * 1.054, 20000);
  }
}

TEST_F(TrafficCountTest, ATestThatNeverBeganHasNoTraffic) {
  for (const char* name : {"err_connection_refused", "err_server_busy", "err_auth_wrong",
                           "err_peer_hang_after_params", "err_no_route"}) {
    for (const char* version : {"3.9", "3.12", "3.18"}) {
      EXPECT_EQ(CountCase(std::string(version) + '/' + name, kUpload), Traffic{})
          << version << name;
    }
  }
  EXPECT_EQ(Count("{}", kUpload), Traffic{});
  EXPECT_EQ(Count(R"({"intervals": [], "end": {}})", kUpload), Traffic{});
  // Nothing says that it began, but something was sent.
  EXPECT_EQ(Count(R"({"end": {"sum_sent": {"bytes": 1000}}})", kUpload), Of(1000, 0));
}

TEST_F(TrafficCountTest, DoesNotGuessWithoutAReport) {
  for (const char* text : {"", "iperf3: error", "{", "[]", "{}{}"}) {
    EXPECT_EQ(Count(text, kUpload), std::nullopt) << text;
  }
  // Nothing tells the rate.
  const char* const begun = R"({"start": {"test_start": {}}, "intervals": [], "end": {}})";
  EXPECT_EQ(Count(begun, kUpload), std::nullopt);
  EXPECT_EQ(Count(begun, kBoth), std::nullopt);
  TestOptions limited = kUpload;
  limited.bitrate_bits_per_second = 8'000'000;
  EXPECT_EQ(Count(begun, limited), Of(1.5e6, 0));
}

TEST_F(TrafficCountTest, ReadsHostileReports) {
  const std::string start = R"({"start": {"test_start": {"blksize": -1}}, "intervals": )";
  const std::string end = R"(, "end": {"sum_sent": {"bytes": 1000}}})";
  for (const char* intervals :
       {"[]", "7", "[7, null, [], {}]", R"([{"sum": 7}, {"sum": {"bytes": 9e99}}])",
        R"([{"sum": {"start": 5, "end": 1, "bytes": 9e99}}])",
        R"([{"sum": {"start": 0, "end": 1, "bytes": -9e99, "omitted": 3}}])"}) {
    std::string text = start;
    text.append(intervals).append(end);
    EXPECT_EQ(Count(text, kUpload), Of(1000, 0)) << intervals;
  }
  EXPECT_EQ(Count(start + R"([{"sum": {"end": 1, "bytes": 1e300}}])" + end, kUpload)->upload_bytes,
            kMaxTrafficBytes);
}

}  // namespace
}  // namespace iperf3_exporter
