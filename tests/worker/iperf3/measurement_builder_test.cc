#include "worker/iperf3/measurement_builder.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/worker/iperf3/report_fixture.h"

namespace iperf3_exporter {
namespace {

// By way of the parser, from what iperf3 printed.
class MeasurementBuilderTest : public ReportFixture {
 protected:
  // The upload of a real UDP test with omit, in whose `sum` `members` come first, so that they
  // count.
  static DirectionMeasurement ParseWithOmit(const std::string& sum, const std::string& members) {
    const std::string begin = '"' + sum + "\":\t{";
    return Parse(Replaced(ReadCorpus("3.12/udp_omit"), begin, begin + members), Protocol::kUdp,
                 Direction::kUpload, 1, 1)
        ->upload.value();
  }
};

TEST_F(MeasurementBuilderTest, DropsAndCountsImplausibleNumbers) {
  for (const char* number :
       {"-1", "1e30", "1.8446744073709552e+19", "18446744073709551611", "9223372036854775808"}) {
    const TestResult report = Parse(WithSentBytes(tcp_, number));
    ASSERT_TRUE(report) << number;
    EXPECT_FALSE(report->upload->sent_bytes) << number;
    EXPECT_FALSE(report->upload->sent_bits_per_second) << number;
    EXPECT_EQ(report->implausible_values, 1U) << number;
  }
  for (const char* value : {"null", "\"1\"", "true"}) {
    const TestResult report = Parse(WithSentBytes(tcp_, value));
    ASSERT_TRUE(report) << value;
    EXPECT_FALSE(report->upload->sent_bytes) << value;
    EXPECT_EQ(report->implausible_values, 0U) << value;
  }
}

TEST_F(MeasurementBuilderTest, DropsAndCountsImplausibleNumbersOfStreams) {
  const std::string report = ReadCorpus("3.12/tcp_P2");
  const auto parse = [](const std::string& text) {
    return Parse(text, Protocol::kTcp, Direction::kUpload, 2).value();
  };
  const Measurement plausible = parse(report);
  const Measurement measurement = parse(Replaced(report, "\"max_rtt\":\t", "\"max_rtt\":\t-"));
  EXPECT_EQ(measurement.implausible_values, plausible.implausible_values + 1);
  EXPECT_TRUE(measurement.upload->max_rtt_seconds > 0);  // of the other stream
  EXPECT_EQ(measurement.upload->mean_rtt_seconds, plausible.upload->mean_rtt_seconds);
}

TEST_F(MeasurementBuilderTest, IgnoresLossAboveThePacketCount) {
  std::string text = ReadCorpus("3.12/tbf_udp_loss");
  const auto lost = Parse(text, Protocol::kUdp)->upload->lost_packets;
  const std::size_t received = text.find("\"sum_received\"");
  text.replace(text.find("\"lost_packets\":\t1887", received), 20, "\"lost_packets\":\t9999");
  EXPECT_EQ(Parse(text, Protocol::kUdp)->upload->lost_packets, lost);
}

// A receiver up to 3.7 counts the difference of the two hosts' clocks as the first packet's jitter.
TEST_F(MeasurementBuilderTest, DropsAJitterLongerThanTheTest) {
  const auto parse = [](const std::string& jitter_ms) {
    const std::string sum = "\"sum_received\":\t{";
    return Parse(
               Replaced(ReadCorpus("3.12/udp_10M"), sum, sum + "\"jitter_ms\":" + jitter_ms + ","),
               Protocol::kUdp)
        .value();
  };
  EXPECT_FALSE(parse("65536.5").upload->jitter_seconds);
  EXPECT_EQ(parse("65536.5").implausible_values, 1U);
  EXPECT_FALSE(parse("1001").upload->jitter_seconds);  // of 1.0002 s
  EXPECT_EQ(parse("999.5").upload->jitter_seconds, 0.9995);
  EXPECT_EQ(parse("999.5").implausible_values, 0U);
  // The receiver received for longer than the sender sent.
  EXPECT_EQ(parse("1500,\"seconds\":2").upload->jitter_seconds, 1.5);
}

// iperf3 prints 0 for what the kernel does not tell it.
TEST_F(MeasurementBuilderTest, TakesZeroOfAStreamForUnknown) {
  const auto with = [](std::string text, const std::string& key, const std::string& value) {
    const std::string member = "\"" + key + "\":\t";
    return Replaced(std::move(text), member, member + value + ",\n\"x\":\t");
  };
  for (const auto& [key, member] :
       {std::pair("max_snd_cwnd", &DirectionMeasurement::max_congestion_window_bytes),
        {"max_rtt", &DirectionMeasurement::max_rtt_seconds},
        {"min_rtt", &DirectionMeasurement::min_rtt_seconds},
        {"mean_rtt", &DirectionMeasurement::mean_rtt_seconds}}) {
    EXPECT_TRUE((Parse(tcp_)->upload.value().*member).has_value()) << key;
    EXPECT_FALSE((Parse(with(tcp_, key, "0"))->upload.value().*member).has_value()) << key;
  }
  // The mean is over the streams that have one.
  std::string two = ReadCorpus("3.12/tcp_P2");
  for (const char* value : {"0", "300"}) {
    two = Replaced(two, "\"mean_rtt\":\t31", std::string("\"mean_rtt\":\t") + value);
  }
  EXPECT_EQ(Parse(two, Protocol::kTcp, Direction::kUpload, 2)->upload->mean_rtt_seconds, 300e-6);
}

// The numbers are those of the servers' own reports of these tests.
TEST_F(MeasurementBuilderTest, AssignsBidirectionalSecondsToTheirSides) {
  const auto tcp =
      Parse(ReadCorpus("3.12/tcp_bidir"), Protocol::kTcp, Direction::kBidirectional).value();
  EXPECT_EQ(tcp.upload->sent_seconds, 1.000532);
  EXPECT_EQ(tcp.upload->received_seconds, 1.003484);
  EXPECT_EQ(tcp.download->sent_seconds, 1.003484);
  EXPECT_DOUBLE_EQ(tcp.download->sent_bits_per_second.value(), 1891333155.28698);
  EXPECT_EQ(tcp.download->received_seconds, 1.000532);
  EXPECT_DOUBLE_EQ(tcp.download->received_bits_per_second.value(), 232521728 * 8 / 1.000532);
  const auto udp =
      Parse(ReadCorpus("3.12/udp_bidir"), Protocol::kUdp, Direction::kBidirectional).value();
  EXPECT_EQ(udp.download->sent_seconds, 1.000411);
  EXPECT_DOUBLE_EQ(udp.download->sent_bits_per_second.value(), 10219415.82009794);
  EXPECT_EQ(udp.download->received_seconds, 1.000089);
  const auto old =
      Parse(ReadCorpus("3.9/udp_bidir"), Protocol::kUdp, Direction::kBidirectional).value();
  EXPECT_EQ(old.download->sent_seconds, 1.042705);
  EXPECT_DOUBLE_EQ(old.download->sent_bits_per_second.value(), 10056305.474702816);
  EXPECT_DOUBLE_EQ(old.download->received_seconds.value(), 1.000167);
}

TEST_F(MeasurementBuilderTest, KeepsReverseSecondsThatDifferFromTheForwardOnes) {
  const auto with_seconds = [&](const std::string& sent, const std::string& received) {
    std::string text = ReadCorpus("3.12/tcp_bidir");
    for (const auto& [key, seconds] :
         {std::pair("sum_sent_bidir_reverse", sent), {"sum_received_bidir_reverse", received}}) {
      const std::string begin = std::string("\"").append(key).append("\":\t{");
      text = Replaced(text, begin,
                      std::string(begin).append("\n\t\t\t\"seconds\":\t").append(seconds) += ',');
    }
    return Parse(text, Protocol::kTcp, Direction::kBidirectional)->download.value();
  };
  const auto repaired = with_seconds("1.0035", "1.000532");
  EXPECT_EQ(repaired.sent_seconds, 1.0035);
  EXPECT_EQ(repaired.received_seconds, 1.000532);
  EXPECT_DOUBLE_EQ(repaired.received_bits_per_second.value(), 1853715479.2702224);
  const auto unknown = with_seconds("1.000532", "1.0035");
  EXPECT_FALSE(unknown.sent_seconds || unknown.received_seconds);
  EXPECT_FALSE(unknown.sent_bits_per_second || unknown.received_bits_per_second);
  EXPECT_EQ(unknown.received_bytes, 232521728);
}

TEST_F(MeasurementBuilderTest, OnlyTheSenderKnowsItsRoundTripTime) {
  for (const char* path : {"3.9/tcp_bidir", "3.12/tbf_tcp_bidir", "3.18/tcp_bidir_P4"}) {
    const std::uint32_t parallel = std::string_view(path).ends_with("P4") ? 4 : 1;
    const auto measured =
        Parse(ReadCorpus(path), Protocol::kTcp, Direction::kBidirectional, parallel).value();
    EXPECT_TRUE(measured.upload->mean_rtt_seconds) << path;
    EXPECT_FALSE(measured.download->min_rtt_seconds || measured.download->mean_rtt_seconds ||
                 measured.download->max_rtt_seconds)
        << path;
  }
}

TEST_F(MeasurementBuilderTest, LossIsRelativeToThePacketsKnownToTheReceiver) {
  const auto measured = Parse(ReadCorpus("3.12/tbf_udp_loss"), Protocol::kUdp)->upload.value();
  EXPECT_EQ(measured.sent_packets, 2498);
  EXPECT_EQ(measured.received_packets, 2497 - 1887);
  EXPECT_DOUBLE_EQ(measured.lost_ratio.value(), 1887.0 / 2497);
}

// Of so short a test everything may still be in flight.
TEST_F(MeasurementBuilderTest, LeavesOutTheLossOfAShortTest) {
  std::string text = ReadCorpus("3.12/udp_bytes");  // 0.08 s, all four packets received
  EXPECT_EQ(Parse(text, Protocol::kUdp)->upload->lost_packets, 0);
  const std::size_t received = text.rfind("\"bytes\":\t131072");
  text.replace(received, std::string("\"bytes\":\t131072").size(), "\"bytes\":\t032768");
  text.replace(text.find("032768"), 6, " 32768");
  const auto measured = Parse(text, Protocol::kUdp)->upload.value();
  EXPECT_EQ(measured.received_packets, 1);
  EXPECT_EQ(measured.lost_packets, std::nullopt);
  EXPECT_EQ(measured.lost_ratio, std::nullopt);
}

TEST_F(MeasurementBuilderTest, ZeroPacketsMeanZeroLoss) {
  const std::string zeros = "\"bytes\":0,\"packets\":0,\"lost_packets\":0,";
  const std::string text =
      Replaced(Replaced(ReadCorpus("3.12/udp_10M"), "\"sum_sent\":\t{", "\"sum_sent\":\t{" + zeros),
               "\"sum_received\":\t{", "\"sum_received\":\t{" + zeros);
  const auto measured = Parse(text, Protocol::kUdp).value().upload.value();
  EXPECT_EQ(measured.received_packets, 0);
  EXPECT_EQ(measured.lost_ratio, 0);
}

// CheckMeasurement rejects it.
TEST_F(MeasurementBuilderTest, CountsNoPacketIfTheReceiverKnowsOfNone) {
  const std::string sum = "\"sum_received\":\t{";
  const auto measured =
      Parse(Replaced(ReadCorpus("3.12/udp_10M"), sum, sum + "\"packets\":0,"), Protocol::kUdp)
          ->upload.value();
  EXPECT_GT(measured.received_bytes, 0);
  EXPECT_EQ(measured.received_packets, 0);
}

// A server that says that it took a nanosecond.
TEST_F(MeasurementBuilderTest, LeavesOutTheRatesOfAShortTest) {
  const auto parse = [](const std::string& side, const std::string& seconds) {
    const std::string sum = "\"sum_" + side + "\":\t{";
    const std::string text = ReadCorpus("3.12/tcp_default");
    return Parse(Replaced(text, sum, sum + "\"seconds\":" + seconds + ","))->upload.value();
  };
  EXPECT_FALSE(parse("received", "1e-9").received_bits_per_second);
  EXPECT_TRUE(parse("received", "1e-9").sent_bits_per_second);
  EXPECT_FALSE(parse("sent", "0.009").sent_bits_per_second);
  EXPECT_TRUE(parse("sent", "0.01").sent_bits_per_second);
}

// Two copies of the message that opens a stream: 4 bytes each.
TEST_F(MeasurementBuilderTest, CountsNoBytesOfLessThanAPacket) {
  const std::string sum = "\"sum_received\":\t{";
  const auto measured =
      Parse(Replaced(ReadCorpus("3.12/udp_10M"), sum, sum + "\"packets\":7,\"bytes\":8,"),
            Protocol::kUdp)
          ->upload.value();
  EXPECT_EQ(measured.received_bytes, 0);
  EXPECT_EQ(measured.received_bits_per_second, 0);
  EXPECT_EQ(measured.received_packets, 0);
  EXPECT_EQ(measured.lost_ratio, 1);
}

// The known packets of a side up to 3.13 lack those that the other side omitted.
TEST_F(MeasurementBuilderTest, CountsPacketsByBytesIfSomeWereOmitted) {
  const auto measured = ParseWithOmit("sum_received", "\"packets\":0,\"lost_packets\":0,");
  EXPECT_GT(measured.received_packets, 0);
  EXPECT_NEAR(measured.lost_ratio.value(), 0, 0.02);
}

// As many arrived as were sent, but some of them in place of others: they are omitted ones.
TEST_F(MeasurementBuilderTest, LeavesOutTheLossOfAShortTestWithOmit) {
  const auto measured = ParseWithOmit("sum_sent", "\"seconds\":0.1,\"bytes\":1448,");
  EXPECT_GT(measured.received_packets, measured.sent_packets);
  EXPECT_FALSE(measured.lost_packets || measured.lost_ratio);
}

// One sum up to 3.10: with few packets nobody knows whether all or none were lost.
TEST_F(MeasurementBuilderTest, TakesNoJitterOfAtLeastFourPacketsForTheLossOfAll) {
  const auto parse = [](const std::string& packets) {
    const std::string sum = "\n\t\t\"sum\":\t{";
    return Parse(Replaced(ReadCorpus("3.9/tbf_udp_allloss"), sum,
                          sum + "\"packets\":" + packets + ","),
                 Protocol::kUdp)
        ->upload.value();
  };
  EXPECT_EQ(parse("4").lost_packets, 4);
  EXPECT_FALSE(parse("3").lost_packets);
}

TEST_F(MeasurementBuilderTest, LacksPacketsWithoutTheirSize) {
  const std::string text = Replaced(ReadCorpus("3.12/udp_10M"), "\"blksize\"", "\"blocksize\"");
  const auto measured = Parse(text, Protocol::kUdp).value().upload.value();
  EXPECT_FALSE(measured.sent_packets || measured.received_packets || measured.lost_packets ||
               measured.lost_ratio);
}

struct LossCase {
  const char* path;
  TestOptions test;
  double sent;
  double received;
  double lost;
};

LossCase UdpLoss(const char* path, Direction direction, double sent, double received, double lost) {
  const std::string_view name = path;
  return {path,
          {.protocol = Protocol::kUdp,
           .direction = direction,
           .parallel = name.ends_with("_P4") ? 4U : 1U,
           .omit_seconds = name.find("omit") != name.npos ? 1U : 0U},
          sent,
          received,
          lost};
}

// A third or all of the packets were dropped, or the second half. What was sent and received are
// each side's own counts; what was lost, too, but with omit up to 3.13, where nobody knows.
TEST_F(MeasurementBuilderTest, CountsLossThatIperf3PrintsWrong) {
  const auto kUp = Direction::kUpload;
  const auto kDown = Direction::kDownload;
  const auto kBoth = Direction::kBidirectional;
  for (const auto& [path, test, sent, received, lost] : {
           UdpLoss("3.18/udp_loss_server_3.12", kUp, 251, 166, 85),
           UdpLoss("3.18/udp_loss_server_3.12_reverse_P4", kDown, 1004, 669, 332),
           UdpLoss("3.18/udp_loss_server_3.12_bidir", kBoth, 251, 171, 80),
           UdpLoss("3.18/udp_omit_loss_server_3.12", kUp, 250, 184, 66),
           UdpLoss("3.18/udp_omit_allloss_server_3.12", kUp, 248, 0, 248),
           UdpLoss("3.12/udp_omit_loss_P4", kUp, 1000, 695, 305),
           UdpLoss("3.12/udp_omit_allloss", kUp, 250, 0, 250),
           UdpLoss("3.12/udp_omit_allloss_reverse", kDown, 251, 0, 251),
           UdpLoss("3.12/udp_dead_path", kUp, 250, 125, 125),
           UdpLoss("3.12/udp_dead_path_reverse", kDown, 251, 125, 126),
           UdpLoss("3.18/udp_dead_path_server_3.12", kUp, 251, 125, 126),
           UdpLoss("3.18/udp_dead_path_bidir", kBoth, 251, 125, 126),
       }) {
    const PaddedReport report(ReadCorpus(path));
    const auto result = ReportParser().Parse(report.text(), test).value();
    const auto measured = (test.direction == kDown ? result.download : result.upload).value();
    EXPECT_EQ(measured.sent_packets, sent) << path;
    EXPECT_EQ(measured.received_packets, received) << path;
    EXPECT_EQ(measured.lost_packets, lost) << path;
    EXPECT_DOUBLE_EQ(measured.lost_ratio.value(), lost / (lost + received)) << path;
    EXPECT_EQ(measured.jitter_seconds.has_value(), received > 0) << path;
  }
}

TEST_F(MeasurementBuilderTest, CountsTheLossOfBothDirections) {
  const auto download = [](const char* path) {
    return Parse(ReadCorpus(path), Protocol::kUdp, Direction::kBidirectional)->download.value();
  };
  EXPECT_EQ(download("3.18/udp_loss_server_3.12_bidir").sent_packets, 251);
  EXPECT_EQ(download("3.18/udp_loss_server_3.12_bidir").received_packets, 180);
  EXPECT_EQ(download("3.18/udp_loss_server_3.12_bidir").lost_packets, 70);
  EXPECT_EQ(download("3.18/udp_dead_path_bidir").lost_packets, 126);
}

}  // namespace
}  // namespace iperf3_exporter
