#include "worker/iperf3/report_parser.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <random>
#include <vector>

#include "common/build_sanitizers.h"
#include "tests/test_paths.h"
#include "tests/worker/iperf3/json_oracle.h"
#include "tests/worker/iperf3/large_report.h"
#include "tests/worker/iperf3/padded_report.h"
#include "worker/process/output_buffer.h"
#include "worker/sandbox/resource_limits.h"

namespace iperf3_exporter {
namespace {

std::string ReadCorpus(const std::string& path) {
  return std::string(PaddedReport::Read(TestData("corpus/" + path + ".json")).text());
}

// `text` with the first `from` replaced; fails the test when there is none.
std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  if (at != text.npos) text.replace(at, from.size(), to);
  return text;
}

enum class Outcome { kMeasured, kError, kNoDocument, kNoSums, kOtherStreams };

rlim_t UsedAddressSpace() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

class ReportParserTest : public testing::Test {
 protected:
  // A success must be one in the oracle's eyes, too.
  static TestResult Parse(const std::string& text, Protocol protocol = Protocol::kTcp,
                          Direction direction = Direction::kUpload, std::uint32_t parallel = 1) {
    const PaddedReport report(text);
    TestResult result = ReportParser().Parse(
        report.text(), {.protocol = protocol, .direction = direction, .parallel = parallel});
    if (result) {
      EXPECT_TRUE(JsonOracle(text).AllowsSuccess(protocol, direction)) << text.substr(0, 4000);
    }
    return result;
  }

  static Outcome OutcomeOf(const TestResult& result) {
    if (result) return Outcome::kMeasured;
    if (result.error().reason != FailureReason::kBadOutput) return Outcome::kError;
    const std::string& detail = result.error().detail;
    if (detail.find("lacks the sums") != detail.npos) return Outcome::kNoSums;
    return detail.ends_with(" streams, not 1") ? Outcome::kOtherStreams : Outcome::kNoDocument;
  }
  static Outcome OutcomeOf(const std::string& text) { return OutcomeOf(Parse(text)); }

  const std::string tcp_ = ReadCorpus("3.12/tcp_default");
};

TEST_F(ReportParserTest, AcceptsExactlyOneDocument) {
  EXPECT_EQ(OutcomeOf(tcp_), Outcome::kMeasured);
  EXPECT_EQ(OutcomeOf(" \r\n" + tcp_ + "\t \n"), Outcome::kMeasured);
  for (const std::string& text :
       {std::string(), std::string(" "), "x" + tcp_, tcp_ + "x", tcp_ + "0", tcp_ + "}",
        tcp_ + tcp_, "[" + tcp_ + "]", tcp_ + '\0', "Control connection MSS 32768\n" + tcp_,
        std::string("null"), std::string("[]"), std::string("\xef\xbb\xbf") + tcp_}) {
    EXPECT_EQ(OutcomeOf(text), Outcome::kNoDocument) << text.substr(0, 20);
  }
  EXPECT_EQ(OutcomeOf("{}"), Outcome::kNoSums);
}

TEST_F(ReportParserTest, RejectsEveryTruncation) {
  for (std::size_t size = 0; size + 2 < tcp_.size(); ++size) {
    ASSERT_EQ(OutcomeOf(tcp_.substr(0, size)), Outcome::kNoDocument) << size;
  }
}

TEST_F(ReportParserTest, DetectsDamageAnywhere) {
  for (const char* fault : {"\x01", "\x80", "\xff", "]", "}", "\"", "\\", ",", "x"}) {
    for (std::size_t at = 0; at < tcp_.size(); at += 3) {
      std::string text = tcp_;
      text.replace(at, 1, fault);
      static_cast<void>(Parse(text));
      text = tcp_;
      text.insert(at, fault);
      static_cast<void>(Parse(text));
      if (HasFailure()) return;
    }
  }
}

TEST_F(ReportParserTest, ValidatesUnusedMembers) {
  for (const auto& [from, to] : std::vector<std::pair<const char*, const char*>>{
           {"\"timesecs\":\t", "\"timesecs\":\t0"},
           {"\"timesecs\":\t", "\"timesecs\":\t+"},
           {"\"timesecs\":\t", "\"timesecs\":\t."},
           {"\"timesecs\":\t", "\"timesecs\":\t1.,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t1e,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\tNaN,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\ttruE,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t\"\\q\",\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t\"\\u12\",\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\" \t"},
           {"\"timesecs\":\t", "timesecs:\t"},
           {"\"omitted\":\tfalse", "\"omitted\":\tfalsey"}}) {
    EXPECT_EQ(OutcomeOf(Replaced(tcp_, from, to)), Outcome::kNoDocument) << to;
  }
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\"timesecs\":\t", "\"timesecs\":\t1.5e+3,\n\"x\" : ")),
            Outcome::kMeasured);
}

TEST_F(ReportParserTest, FindsAnErrorAnywhereAtTheTopLevel) {
  for (const char* before : {"\n\t\"start\"", "\n\t\"intervals\"", "\n\t\"end\""}) {
    const TestResult report =
        Parse(Replaced(tcp_, before, "\n\t\"error\":\t\"no \\\"luck\\\"\"," + std::string(before)));
    ASSERT_EQ(OutcomeOf(report), Outcome::kError) << before;
    EXPECT_EQ(report.error().reason, FailureReason::kServerError);
    EXPECT_EQ(report.error().detail, "no \"luck\"");
  }
  for (const char* member : {"\"error\":\tnull", "\"error\":\t{}", "\"err\\u006fr\":\t\"x\""}) {
    EXPECT_EQ(
        OutcomeOf(Replaced(tcp_, "\n\t\"end\"", "\n\t" + std::string(member) + ",\n\t\"end\"")),
        Outcome::kError)
        << member;
  }
  // Not at the top.
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\"cookie\"", "\"error\"")), Outcome::kMeasured);
}

TEST_F(ReportParserTest, TruncatesALongError) {
  const std::string text = R"({"error": ")" + std::string(1 << 20, 'e') + "\"}";
  EXPECT_EQ(Parse(text).error().detail, std::string(kMaxErrorTextBytes, 'e'));
}

TEST_F(ReportParserTest, IgnoresKeysInsideStrings) {
  const std::string text =
      Replaced(tcp_, "\"cookie\":\t\"",
               R"("cookie":	"\n\t\"end\":\t{\n\t\t\"sum_sent\":\t{}\n\t}\n}\n)");
  EXPECT_EQ(Parse(text).value(), Parse(tcp_).value());
}

TEST_F(ReportParserTest, UsesTheFirstOfDuplicateKeys) {
  const auto wanted = Parse(tcp_).value();
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\t\t\t\"retransmits\":\t5,\n\t\t\t\"sender\"",
            "\t\t\t\"retransmits\":\t5,\n\t\t\t\"retransmits\":\t7,\n\t\t\t\"sender\""},
           {"\n\t}\n}", "\n\t},\n\t\"end\":\t{\n\t}\n}"},
           {"\"cpu_utilization_percent\":\t{",
            "\"streams\":\t[],\n\t\t\"cpu_utilization_percent\":\t{"},
           {"\n\t\t\"sender_tcp_congestion\"",
            "\n\t\t\"cpu_utilization_percent\":\t{},\n\t\t\"sender_tcp_congestion\""}}) {
    EXPECT_EQ(Parse(Replaced(tcp_, from, to)).value(), wanted) << to;
  }
}

// Up to 3.10 the second sums under a key are the reverse direction's; further ones are nobody's.
TEST_F(ReportParserTest, IgnoresAThirdSum) {
  const std::string report = ReadCorpus("3.9/tcp_bidir");
  const auto parse = [](const std::string& text) {
    return Parse(text, Protocol::kTcp, Direction::kBidirectional).value();
  };
  EXPECT_EQ(parse(Replaced(report, "\n\t\t\"cpu_utilization_percent\"",
                           "\n\t\t\"sum_sent\":\t{},\n\t\t\"cpu_utilization_percent\"")),
            parse(report));
}

TEST_F(ReportParserTest, RequiresTheSumsOfEveryTestedDirection) {
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\"sum_received\"", "\"sum_recieved\"")), Outcome::kNoSums);
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\"sum_sent\":\t{", "\"sum_sent\":\t1,\n\t\t\"x\":\t{")),
            Outcome::kNoSums);
  EXPECT_EQ(OutcomeOf(Parse(tcp_, Protocol::kTcp, Direction::kBidirectional)), Outcome::kNoSums);
  EXPECT_EQ(OutcomeOf(Parse(ReadCorpus("3.9/udp_10M"))), Outcome::kNoSums);
  EXPECT_EQ(OutcomeOf(Parse(ReadCorpus("3.9/err_connection_refused"))), Outcome::kNoSums);
}

std::string WithSentBytes(const std::string& report, const std::string& bytes) {
  return Replaced(report, "\"sum_sent\":\t{", "\"sum_sent\":\t{\n\t\t\t\"bytes\":\t" + bytes + ",");
}

TEST_F(ReportParserTest, DropsAndCountsImplausibleNumbers) {
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

TEST_F(ReportParserTest, DropsAndCountsImplausibleNumbersOfStreams) {
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

TEST_F(ReportParserTest, ReadsNumbersInEveryNotation) {
  for (const auto& [text, value] : std::vector<std::pair<const char*, double>>{
           {"0", 0},
           {"-0", 0},
           {"-0.0", 0},
           {"1e3", 1000},
           {"1.5E+3", 1500},
           {"4.4e-05", 4.4e-05},
           {"1e-400", 0},
           {"9007199254740993", 9007199254740992.0},
           {"9223372036854774784", 9223372036854774784.0}}) {
    const TestResult report = Parse(WithSentBytes(tcp_, text));
    ASSERT_TRUE(report) << text;
    EXPECT_EQ(report->upload->sent_bytes, value) << text;
    EXPECT_FALSE(std::signbit(report->upload->sent_bytes.value())) << text;
    EXPECT_EQ(report->implausible_values, 0U) << text;
  }
}

// cJSON prints a double with at most 17 digits, and null if it is not finite.
TEST_F(ReportParserTest, RejectsNumbersThatIperf3CannotPrint) {
  for (const char* number : {"1e400", "-1e400", "18446744073709551616", "-9223372036854775809",
                             "NaN", "Infinity", "01", "+1", ".5", "1.", "0x10"}) {
    EXPECT_EQ(OutcomeOf(WithSentBytes(tcp_, number)), Outcome::kNoDocument) << number;
  }
}

TEST_F(ReportParserTest, IgnoresLossAboveThePacketCount) {
  std::string text = ReadCorpus("3.12/tbf_udp_loss");
  const auto lost = Parse(text, Protocol::kUdp)->upload->lost_packets;
  const std::size_t received = text.find("\"sum_received\"");
  text.replace(text.find("\"lost_packets\":\t1887", received), 20, "\"lost_packets\":\t9999");
  EXPECT_EQ(Parse(text, Protocol::kUdp)->upload->lost_packets, lost);
}

// A receiver up to 3.7 counts the difference of the two hosts' clocks as the first packet's jitter.
TEST_F(ReportParserTest, DropsAJitterLongerThanTheTest) {
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
TEST_F(ReportParserTest, TakesZeroOfAStreamForUnknown) {
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
TEST_F(ReportParserTest, AssignsBidirectionalSecondsToTheirSides) {
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

TEST_F(ReportParserTest, KeepsReverseSecondsThatDifferFromTheForwardOnes) {
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

TEST_F(ReportParserTest, OnlyTheSenderKnowsItsRoundTripTime) {
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

TEST_F(ReportParserTest, LossIsRelativeToThePacketsKnownToTheReceiver) {
  const auto measured = Parse(ReadCorpus("3.12/tbf_udp_loss"), Protocol::kUdp)->upload.value();
  EXPECT_EQ(measured.sent_packets, 2498);
  EXPECT_EQ(measured.received_packets, 2497 - 1887);
  EXPECT_DOUBLE_EQ(measured.lost_ratio.value(), 1887.0 / 2497);
}

TEST_F(ReportParserTest, ZeroPacketsMeanZeroLoss) {
  const std::string zeros = "\"bytes\":0,\"packets\":0,\"lost_packets\":0,";
  const std::string text =
      Replaced(Replaced(ReadCorpus("3.12/udp_10M"), "\"sum_sent\":\t{", "\"sum_sent\":\t{" + zeros),
               "\"sum_received\":\t{", "\"sum_received\":\t{" + zeros);
  const auto measured = Parse(text, Protocol::kUdp).value().upload.value();
  EXPECT_EQ(measured.received_packets, 0);
  EXPECT_EQ(measured.lost_ratio, 0);
}

// CheckMeasurement rejects it.
TEST_F(ReportParserTest, CountsNoPacketIfTheReceiverKnowsOfNone) {
  const std::string sum = "\"sum_received\":\t{";
  const auto measured =
      Parse(Replaced(ReadCorpus("3.12/udp_10M"), sum, sum + "\"packets\":0,"), Protocol::kUdp)
          ->upload.value();
  EXPECT_GT(measured.received_bytes, 0);
  EXPECT_EQ(measured.received_packets, 0);
}

// One sum up to 3.10: with few packets nobody knows whether all or none were lost.
TEST_F(ReportParserTest, TakesNoJitterOfAtLeastFourPacketsForTheLossOfAll) {
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

TEST_F(ReportParserTest, LacksPacketsWithoutTheirSize) {
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
TEST_F(ReportParserTest, CountsLossThatIperf3PrintsWrong) {
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

TEST_F(ReportParserTest, CountsTheLossOfBothDirections) {
  const auto download = [](const char* path) {
    return Parse(ReadCorpus(path), Protocol::kUdp, Direction::kBidirectional)->download.value();
  };
  EXPECT_EQ(download("3.18/udp_loss_server_3.12_bidir").sent_packets, 251);
  EXPECT_EQ(download("3.18/udp_loss_server_3.12_bidir").received_packets, 180);
  EXPECT_EQ(download("3.18/udp_loss_server_3.12_bidir").lost_packets, 70);
  EXPECT_EQ(download("3.18/udp_dead_path_bidir").lost_packets, 126);
}

TEST_F(ReportParserTest, RejectsDeepNesting) {
  EXPECT_EQ(OutcomeOf("{\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
            Outcome::kNoDocument);
  EXPECT_EQ(OutcomeOf(std::string(1'000'000, '{')), Outcome::kNoDocument);
}

TEST_F(ReportParserTest, RejectsAnotherNumberOfStreams) {
  EXPECT_TRUE(Parse(ReadCorpus("3.12/tcp_P8"), Protocol::kTcp, Direction::kUpload, 8));
  EXPECT_FALSE(Parse(ReadCorpus("3.12/tcp_P8"), Protocol::kTcp, Direction::kUpload, 7));
  EXPECT_EQ(OutcomeOf(ReadCorpus("3.12/tcp_P8")), Outcome::kOtherStreams);
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\t\t\"streams\":\t[{\n\t\t\t\t\"sender\"",
                               "\t\t\"streams\":\t[{}, {\n\t\t\t\t\"sender\"")),
            Outcome::kOtherStreams);
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\t\t\"streams\":\t[{\n\t\t\t\t\"sender\"",
                               "\t\t\"streams\":\t[],\n\t\t\"x\":\t[{\n\t\t\t\t\"sender\"")),
            Outcome::kOtherStreams);
  // Far more than there can be: not even read.
  std::string streams;
  for (int i = 0; i < 1'000'000; ++i) streams += "{},";
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\t\t\"streams\":\t[{\n\t\t\t\t\"sender\"",
                               "\t\t\"streams\":\t[" + streams + "{\n\t\t\t\t\"sender\"")),
            Outcome::kOtherStreams);
}

// Cuts, doubles, moves and swaps pieces that end where lines, keys or values do.
std::string Mutate(const std::string& text, std::mt19937& random) {
  const auto place = [&](std::string_view in) {
    const std::size_t from = random() % in.size();
    const std::size_t at = in.find_first_of("\n\"\t,{}[]:.0", from);
    return at == in.npos ? from : at;
  };
  std::string result = text;
  for (unsigned i = 0; i <= random() % 3; ++i) {
    const std::size_t from = place(result);
    const std::size_t bytes = std::min<std::size_t>(random() % 60, result.size() - from);
    const std::string piece = result.substr(from, bytes);
    switch (random() % 4) {
      case 0:
        result.erase(from, bytes);
        break;
      case 1:
        result.insert(from, piece);
        break;
      case 2:
        result.insert(place(result), piece);
        break;
      default:
        result.replace(from, bytes, result.substr(place(result), bytes));
    }
    if (result.empty()) result = " ";
  }
  return result;
}

TEST_F(ReportParserTest, RejectsInvalidMutations) {
  std::mt19937 random(6);
  for (const char* path :
       {"3.9/tcp_bidir", "3.12/tcp_default", "3.12/tcp_P8", "3.12/udp_bidir", "3.18/tcp_P2",
        "3.12/tcp_title", "3.12/err_connection_refused", "3.12/tbf_udp_allloss"}) {
    const std::string report = ReadCorpus(path);
    const Protocol protocol =
        report.find("\"UDP\"") != report.npos ? Protocol::kUdp : Protocol::kTcp;
    const Direction direction =
        std::string_view(path).ends_with("bidir") ? Direction::kBidirectional : Direction::kUpload;
    const std::size_t ways = direction == Direction::kBidirectional ? 2 : 1;
    const auto parallel = static_cast<std::uint32_t>(JsonOracle(report).streams() / ways);
    for (int i = 0; i < 1000; ++i) {
      static_cast<void>(Parse(Mutate(report, random), protocol, direction, parallel));
      ASSERT_FALSE(HasFailure()) << path << ' ' << i;
    }
  }
}

TEST_F(ReportParserTest, ReadsALargeReportLikeASmallOne) {
  const auto parse = [](const std::string& text) {
    return Parse(text, Protocol::kTcp, Direction::kUpload, 32);
  };
  const std::string report = ReadCorpus("3.12/tcp_P32");
  const std::string large = RepeatFirstInterval(report, 300);
  ASSERT_GT(large.size(), std::size_t{3} << 20);
  EXPECT_EQ(parse(large).value(), parse(report).value());
  // Cut short, continued, or with an error: no success.
  EXPECT_FALSE(parse(large.substr(0, large.size() - 3)));
  EXPECT_FALSE(parse(large.substr(0, large.size() / 2)));
  EXPECT_FALSE(parse(large + "x"));
  EXPECT_FALSE(parse(large + tcp_.substr(0, 100)));
  EXPECT_FALSE(parse("x" + large));
  EXPECT_EQ(OutcomeOf(parse(large.substr(0, large.size() - 3) + ",\n\t\"error\":\t\"x\"\n}\n")),
            Outcome::kError);
  EXPECT_EQ(
      OutcomeOf(parse(Replaced(large, "\n\t\"start\"", "\n\t\"error\":\t\"x\",\n\t\"start\""))),
      Outcome::kError);
}

TEST_F(ReportParserTest, DetectsDamageAnywhereInALargeReport) {
  const std::string large = RepeatFirstInterval(ReadCorpus("3.12/tcp_P32"), 100);
  ASSERT_GT(large.size(), std::size_t{1} << 20);
  for (std::size_t at = 0; at < large.size(); at += 9973) {
    std::string text = large;
    text[at] = '\x01';
    ASSERT_EQ(OutcomeOf(text), Outcome::kNoDocument) << at;
  }
}

// In a child, because a limit can't be raised again.
TEST_F(ReportParserTest, ReadsTheLargestReportWithinTheWorkersAddressSpace) {
  if (kBuiltWithSanitizer) GTEST_SKIP() << "a sanitizer needs address space of its own";
  const std::string report = ReadCorpus("3.12/tcp_P32");
  const std::size_t interval =
      RepeatFirstInterval(report, 2).size() - RepeatFirstInterval(report, 1).size();
  std::string text = RepeatFirstInterval(report, kMaxReportBytes / interval - 10);
  text.resize(kMaxReportBytes, ' ');
  const PaddedReport padded(std::move(text));
  const pid_t child = ::fork();
  if (child == 0) {
    // What the worker has beside the report in its buffer.
    constexpr rlim_t kWorkerBytes = rlim_t{16} << 20U;
    const rlim_t bytes = kAddressSpaceBytes - kMaxReportBytes - kWorkerBytes;
    const rlimit limit = {UsedAddressSpace() + bytes, UsedAddressSpace() + bytes};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(2);
    ::_exit(ReportParser().Parse(padded.text(), {.parallel = 32}) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace iperf3_exporter
