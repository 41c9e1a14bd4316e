#include "supervisor/exposition/probe_exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "supervisor/exposition/exposition_writer.h"
#include "tests/supervisor/exposition/exposition_samples.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kLabels[] = "{target=\"[2001:db8::1]\",port=\"5201\"";

std::string Page(const ProbeReport& report, FailureValues values = FailureValues::kZero,
                 ExpositionFormat format = ExpositionFormat::kText) {
  return BuildProbePage(report, {values}, format);
}

// The value of the sample with these further labels (such as `,side="sender"`), as text; empty
// when the page does not have it.
std::string Value(const std::string& page, const std::string& name,
                  const std::string& labels = "") {
  const std::string key = '\n' + name + kLabels + labels + "} ";
  const std::size_t at = page.find(key);
  if (at == std::string::npos) return "";
  const std::size_t begin = at + key.size();
  return page.substr(begin, page.find('\n', begin) - begin);
}

// The complete page, kept beside this test; a new one is written by hand or taken from the
// failure message after it was read.
void ExpectGolden(const std::string& name, const std::string& page) {
  std::ifstream file(TestData("pages/" + name));
  std::ostringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(page, golden.str()) << name;
}

TEST(ProbeExpositionTest, MatchesTheGoldenPages) {
  ExpectGolden("tcp_upload.prom", Page(SampleReport(Protocol::kTcp, Direction::kUpload)));
  ExpectGolden("udp_download.prom", Page(SampleReport(Protocol::kUdp, Direction::kDownload)));
  ExpectGolden("tcp_bidirectional.prom",
               Page(SampleReport(Protocol::kTcp, Direction::kBidirectional)));
  ExpectGolden("tcp_failure_zero.prom", Page(SampleFailure(Protocol::kTcp, Direction::kUpload)));
  ExpectGolden("udp_failure_zero_bidirectional.prom",
               Page(SampleFailure(Protocol::kUdp, Direction::kBidirectional)));
  ExpectGolden("failure_absent.prom",
               Page(SampleFailure(Protocol::kTcp, Direction::kUpload), FailureValues::kAbsent));
  ExpectGolden("tcp_upload.openmetrics",
               Page(SampleReport(Protocol::kTcp, Direction::kUpload), FailureValues::kZero,
                    ExpositionFormat::kOpenMetrics));
}

TEST(ProbeExpositionTest, ExportsTcpValues) {
  const std::string page = Page(SampleReport(Protocol::kTcp, Direction::kUpload));
  EXPECT_THAT(page, testing::StartsWith("# HELP iperf3_up "));
  EXPECT_EQ(Value(page, "iperf3_up"), "1");
  EXPECT_EQ(Value(page, "iperf3_sent_bytes"), "3145728000");
  EXPECT_EQ(Value(page, "iperf3_received_seconds"), "5.000512");
  EXPECT_EQ(Value(page, "iperf3_retransmits"), "17");
  EXPECT_EQ(Value(page, "iperf3_bandwidth_upload_mbps"), "5032.43988407");
  EXPECT_EQ(Value(page, "iperf3_bandwidth_download_mbps"), "");
  EXPECT_EQ(Value(page, "iperf3_latency_upload_ms"), "0.123");
  EXPECT_EQ(Value(page, "iperf3_bits_per_second", ",direction=\"upload\",side=\"sender\""),
            "5033095262.92");
  EXPECT_EQ(Value(page, "iperf3_rtt_seconds", ",direction=\"upload\",stat=\"max\""), "0.000456");
  EXPECT_EQ(Value(page, "iperf3_max_congestion_window_bytes", ",direction=\"upload\""), "3145728");
  EXPECT_EQ(Value(page, "iperf3_cpu_utilization_ratio", ",host=\"remote\",mode=\"system\""), "1");
  EXPECT_EQ(Value(page, "iperf3_probe_duration_seconds"), "5.034");
  EXPECT_EQ(Value(page, "iperf3_lock_wait_seconds"), "0.0015");
  EXPECT_EQ(Value(page, "iperf3_probe_attempts"), "1");
  EXPECT_EQ(Value(page, "iperf3_streams"), "2");
  EXPECT_EQ(Value(page, "iperf3_requested_period_seconds"), "6");
  EXPECT_EQ(Value(page, "iperf3_test_period_seconds"), "5");
  for (const char* udp : {"packets", "lost", "jitter", "probe_failure", "NaN"}) {
    EXPECT_THAT(page, Not(HasSubstr(udp)));
  }
}

TEST(ProbeExpositionTest, ExportsTheReceiversUdpValues) {
  const std::string page = Page(SampleReport(Protocol::kUdp, Direction::kDownload));
  EXPECT_EQ(Value(page, "iperf3_sent_packets"), "100");
  EXPECT_EQ(Value(page, "iperf3_received_packets"), "95");
  for (const char* name :
       {"iperf3_lost_packets", "iperf3_sent_lost_packets", "iperf3_received_lost_packets",
        "iperf3_lost_percent", "iperf3_sent_lost_percent", "iperf3_received_lost_percent",
        "iperf3_packet_loss_download_percent"}) {
    EXPECT_EQ(Value(page, name), "5") << name;
  }
  EXPECT_EQ(Value(page, "iperf3_sent_jitter_ms"), "0.0123456");
  EXPECT_EQ(Value(page, "iperf3_received_jitter_ms"), "0.0123456");
  EXPECT_EQ(Value(page, "iperf3_lost_ratio", ",direction=\"download\""), "0.05");
  for (const char* other : {"retransmits", "rtt", "latency", "congestion", "upload"}) {
    EXPECT_THAT(page, Not(HasSubstr(other)));
  }
}

TEST(ProbeExpositionTest, ExportsTotalLossAsAHundredPercent) {
  ProbeReport report = SampleReport(Protocol::kUdp, Direction::kUpload);
  report.result->upload->lost_ratio = 1;
  report.result->upload->jitter_seconds.reset();
  const std::string page = Page(report);
  EXPECT_EQ(Value(page, "iperf3_lost_percent"), "100");
  EXPECT_EQ(Value(page, "iperf3_packet_loss_upload_percent"), "100");
  EXPECT_THAT(page, Not(HasSubstr("jitter")));
}

TEST(ProbeExpositionTest, ExportsBothDirectionsOfABidirectionalTest) {
  const std::string page = Page(SampleReport(Protocol::kTcp, Direction::kBidirectional));
  EXPECT_EQ(Value(page, "iperf3_sent_bytes", ",direction=\"upload\""), "3145728000");
  EXPECT_EQ(Value(page, "iperf3_sent_bytes", ",direction=\"download\""), "42");
  EXPECT_EQ(Value(page, "iperf3_sent_bytes"), "");
  EXPECT_EQ(Value(page, "iperf3_up"), "1");
  EXPECT_NE(Value(page, "iperf3_bandwidth_upload_mbps"), "");
  EXPECT_NE(Value(page, "iperf3_bandwidth_download_mbps"), "");
}

TEST(ProbeExpositionTest, LeavesOutUnknownValues) {
  ProbeReport report = SampleReport(Protocol::kTcp, Direction::kDownload);
  report.result->download.emplace();
  report.result->download->received_bytes = 1;
  report.result->local_cpu = {};
  report.result->remote_cpu = {};
  std::set<std::string> names;
  std::istringstream lines(Page(report));
  for (std::string line; std::getline(lines, line);) {
    if (line[0] != '#') names.insert(line.substr(0, line.find('{')));
  }
  EXPECT_THAT(names, testing::ElementsAre("iperf3_lock_wait_seconds", "iperf3_probe_attempts",
                                          "iperf3_probe_duration_seconds", "iperf3_received_bytes",
                                          "iperf3_requested_period_seconds", "iperf3_streams",
                                          "iperf3_test_period_seconds", "iperf3_up"));
}

TEST(ProbeExpositionTest, LeavesOutADirectionWithoutMeasurement) {
  ProbeReport report = SampleReport(Protocol::kTcp, Direction::kBidirectional);
  report.result->download.reset();
  const std::string page = Page(report);
  EXPECT_EQ(Value(page, "iperf3_sent_bytes", ",direction=\"upload\""), "3145728000");
  EXPECT_THAT(page, Not(HasSubstr("direction=\"download\"")));
  EXPECT_EQ(Value(page, "iperf3_bandwidth_download_mbps"), "");
}

TEST(ProbeExpositionTest, ExportsEveryFailureReason) {
  for (std::size_t i = 0; i < kFailureReasonNames.size(); ++i) {
    ProbeReport report = SampleFailure(Protocol::kTcp, Direction::kUpload);
    report.result.error().reason = static_cast<FailureReason>(i);
    for (const FailureValues values : {FailureValues::kZero, FailureValues::kAbsent}) {
      const std::string page = Page(report, values);
      EXPECT_EQ(Value('\n' + page, "iperf3_up"), "0");
      EXPECT_EQ(Value(page, "iperf3_probe_failure",
                      ",reason=\"" + std::string(kFailureReasonNames[i]) + '"'),
                "1");
    }
  }
}

std::string ForkPage(const ProbeReport& report) {
  return BuildProbePage(report, {.labels = ProbeLabels::kFork}, ExpositionFormat::kText);
}

TEST(ProbeExpositionTest, ForkLabelsNameTheDirectionOnEverySample) {
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    for (const ProbeReport& report : {SampleReport(protocol, Direction::kDownload),
                                      SampleFailure(protocol, Direction::kDownload)}) {
      std::istringstream lines(ForkPage(report));
      for (std::string line; std::getline(lines, line);) {
        EXPECT_TRUE(line[0] == '#' || line.find(",direction=\"download\"") != line.npos) << line;
      }
    }
  }
}

TEST(ProbeExpositionTest, ForkLabelsRepeatTheProbeForEachDirection) {
  const std::string page = '\n' + ForkPage(SampleReport(Protocol::kTcp, Direction::kBidirectional));
  for (const std::string direction : {"upload", "download"}) {
    const std::string label = ",direction=\"" + direction + '"';
    EXPECT_EQ(Value(page, "iperf3_up", label), "1");
    EXPECT_EQ(Value(page, "iperf3_streams", label), "2");
    EXPECT_EQ(Value(page, "iperf3_cpu_utilization_ratio", label + ",host=\"local\",mode=\"total\""),
              "0.5");
  }
  EXPECT_EQ(Value(page, "iperf3_sent_bytes", ",direction=\"download\""), "42");
  EXPECT_EQ(Value(page, "iperf3_bandwidth_upload_mbps", ",direction=\"upload\""), "5032.43988407");
  EXPECT_EQ(Value(page, "iperf3_bandwidth_upload_mbps", ",direction=\"download\""), "");
}

// The fork answers a failed test with zeros for the names that it derives, too.
TEST(ProbeExpositionTest, ForkLabelsBringItsZeros) {
  const std::string page = ForkPage(SampleFailure(Protocol::kTcp, Direction::kUpload));
  for (const char* name : {"iperf3_sent_bytes", "iperf3_bandwidth_upload_mbps",
                           "iperf3_latency_upload_ms", "iperf3_retransmits"}) {
    EXPECT_EQ(Value(page, name, ",direction=\"upload\""), "0") << name;
  }
  EXPECT_THAT(page, Not(HasSubstr("iperf3_bits_per_second{")));
}

// iperf3 counts round-trip times in microseconds.
TEST(ProbeExpositionTest, RoundsLatencyToMicroseconds) {
  for (int microseconds = 1; microseconds < 5000; ++microseconds) {
    ProbeReport report = SampleReport(Protocol::kTcp, Direction::kUpload);
    report.result->upload->mean_rtt_seconds = microseconds * 1e-6;
    std::string expected;
    AppendNumber(microseconds / 1000.0, expected);
    ASSERT_EQ(Value(Page(report), "iperf3_latency_upload_ms"), expected);
  }
}

TEST(ProbeExpositionTest, ExportsMillisecondsAsIperf3PrintsThem) {
  for (int thousandths = 0; thousandths < 100'000; thousandths += 7) {
    const std::string printed = std::to_string(thousandths / 1000) + '.' +
                                std::to_string(1000 + thousandths % 1000).substr(1);
    ProbeReport report = SampleReport(Protocol::kUdp, Direction::kUpload);
    const double milliseconds = std::strtod(printed.c_str(), nullptr);
    report.result->upload->jitter_seconds = milliseconds / 1000;
    ASSERT_EQ(std::strtod(Value(Page(report), "iperf3_sent_jitter_ms").c_str(), nullptr),
              milliseconds);
  }
}

}  // namespace
}  // namespace iperf3_exporter
