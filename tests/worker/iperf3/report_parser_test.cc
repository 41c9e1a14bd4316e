#include "worker/iperf3/report_parser.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <vector>

#include "tests/worker/iperf3/large_report.h"
#include "tests/worker/iperf3/padded_report.h"
#include "worker/iperf3/measurement_builder.h"
#include "worker/iperf3/regular_report.h"

namespace {
std::atomic<std::uint64_t> allocations{0};
}  // namespace

// Counts, for the whole program; the default does the work.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
// simdjson's.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace iperf3_exporter {
namespace {

std::string ReadCorpus(const std::string& path) {
  return std::string(PaddedReport::Read(TEST_DATA_DIR "/corpus/" + path + ".json").text());
}

// `text` with the first `from` replaced; fails the test when there is none.
std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  if (at != text.npos) text.replace(at, from.size(), to);
  return text;
}

class ReportParserTest : public testing::Test {
 protected:
  // By all ways, which must agree.
  Report Parse(const std::string& text, Protocol protocol = Protocol::kTcp,
               Direction direction = Direction::kUpload) {
    const PaddedReport report(text);
    const Report quick = parser_.Parse(report.text(), protocol, direction);
    const Report plain = plain_parser_.ParsePlainly(report.text(), protocol, direction);
    EXPECT_EQ(quick.outcome, plain.outcome) << text.substr(0, 4000);
    EXPECT_EQ(quick.error_text, plain.error_text);
    if (plain.outcome == ReportOutcome::kMeasured) {
      EXPECT_EQ(quick.measurement, plain.measurement) << text.substr(0, 4000);
    }
    // As if it were too large to be learnt as a whole.
    if (elements_.Read(report.text())) {
      Measurement by_elements;
      const bool has_sums = BuildMeasurement(elements_.values(), protocol, direction, by_elements);
      EXPECT_EQ(plain.outcome, has_sums ? ReportOutcome::kMeasured : ReportOutcome::kNoSums)
          << text.substr(0, 4000);
      if (has_sums) {
        EXPECT_EQ(by_elements, plain.measurement) << text.substr(0, 4000);
      }
    }
    return quick;
  }

  ReportOutcome Outcome(const std::string& text) { return Parse(text).outcome; }

  const std::string tcp_ = ReadCorpus("3.12/tcp_default");
  ReportParser parser_;
  ReportParser plain_parser_;
  RegularReportReader elements_{{.script_bytes = 0}};
};

TEST_F(ReportParserTest, TakesExactlyOneDocument) {
  EXPECT_EQ(Outcome(tcp_), ReportOutcome::kMeasured);
  EXPECT_EQ(Outcome(" \r\n" + tcp_ + "\t \n"), ReportOutcome::kMeasured);
  for (const std::string& text :
       {std::string(), std::string(" "), "x" + tcp_, tcp_ + "x", tcp_ + "0", tcp_ + "}",
        tcp_ + tcp_, "[" + tcp_ + "]", tcp_ + '\0', "Control connection MSS 32768\n" + tcp_,
        std::string("null"), std::string("[]"), std::string("\xef\xbb\xbf") + tcp_}) {
    EXPECT_EQ(Outcome(text), ReportOutcome::kNoDocument) << text.substr(0, 20);
  }
  EXPECT_EQ(Outcome("{}"), ReportOutcome::kNoSums);
}

TEST_F(ReportParserTest, RefusesEveryTruncation) {
  for (std::size_t size = 0; size + 2 < tcp_.size(); ++size) {
    ASSERT_EQ(Outcome(tcp_.substr(0, size)), ReportOutcome::kNoDocument) << size;
  }
}

TEST_F(ReportParserTest, FindsAFaultAnywhere) {
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

TEST_F(ReportParserTest, ValidatesWhatItDoesNotReport) {
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
    EXPECT_EQ(Outcome(Replaced(tcp_, from, to)), ReportOutcome::kNoDocument) << to;
  }
  EXPECT_EQ(Outcome(Replaced(tcp_, "\"timesecs\":\t", "\"timesecs\":\t1.5e+3,\n\"x\" : ")),
            ReportOutcome::kMeasured);
}

TEST_F(ReportParserTest, KnowsAnErrorWhereverItStandsAtTheTop) {
  for (const char* before : {"\n\t\"start\"", "\n\t\"intervals\"", "\n\t\"end\""}) {
    const Report report =
        Parse(Replaced(tcp_, before, "\n\t\"error\":\t\"no \\\"luck\\\"\"," + std::string(before)));
    EXPECT_EQ(report.outcome, ReportOutcome::kError) << before;
    EXPECT_EQ(report.error_text, "no \"luck\"");
  }
  for (const char* member : {"\"error\":\tnull", "\"error\":\t{}", "\"err\\u006fr\":\t\"x\""}) {
    EXPECT_EQ(Outcome(Replaced(tcp_, "\n\t\"end\"", "\n\t" + std::string(member) + ",\n\t\"end\"")),
              ReportOutcome::kError)
        << member;
  }
  // Not at the top.
  EXPECT_EQ(Outcome(Replaced(tcp_, "\"cookie\"", "\"error\"")), ReportOutcome::kMeasured);
}

TEST_F(ReportParserTest, CutsALongError) {
  const std::string text = R"({"error": ")" + std::string(1 << 20, 'e') + "\"}";
  EXPECT_EQ(Parse(text).error_text, std::string(kMaxErrorTextBytes, 'e'));
}

TEST_F(ReportParserTest, IsNotMisledByWhatStringsSay) {
  const std::string text =
      Replaced(tcp_, "\"cookie\":\t\"",
               R"("cookie":	"\n\t\"end\":\t{\n\t\t\"sum_sent\":\t{}\n\t}\n}\n)");
  EXPECT_EQ(Parse(text).measurement, Parse(tcp_).measurement);
  EXPECT_EQ(Outcome(text), ReportOutcome::kMeasured);
}

TEST_F(ReportParserTest, CountsTheFirstOfDuplicateKeys) {
  const auto wanted = Parse(tcp_).measurement;
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\t\t\t\"retransmits\":\t5,\n\t\t\t\"sender\"",
            "\t\t\t\"retransmits\":\t5,\n\t\t\t\"retransmits\":\t7,\n\t\t\t\"sender\""},
           {"\n\t}\n}", "\n\t},\n\t\"end\":\t{\n\t}\n}"},
           {"\"cpu_utilization_percent\":\t{",
            "\"streams\":\t[],\n\t\t\"cpu_utilization_percent\":\t{"}}) {
    EXPECT_EQ(Parse(Replaced(tcp_, from, to)).measurement, wanted) << to;
  }
}

TEST_F(ReportParserTest, NeedsTheSumsOfEveryDirectionAskedFor) {
  EXPECT_EQ(Outcome(Replaced(tcp_, "\"sum_received\"", "\"sum_recieved\"")),
            ReportOutcome::kNoSums);
  EXPECT_EQ(Outcome(Replaced(tcp_, "\"sum_sent\":\t{", "\"sum_sent\":\t1,\n\t\t\"x\":\t{")),
            ReportOutcome::kNoSums);
  EXPECT_EQ(Parse(tcp_, Protocol::kTcp, Direction::kBidirectional).outcome, ReportOutcome::kNoSums);
  EXPECT_EQ(Parse(ReadCorpus("3.9/udp_10M")).outcome, ReportOutcome::kNoSums);
  EXPECT_EQ(Parse(ReadCorpus("3.9/err_connection_refused")).outcome, ReportOutcome::kNoSums);
}

TEST_F(ReportParserTest, LeavesOutWhatCannotBeTrueAndCountsIt) {
  for (const char* number :
       {"-1", "1e30", "1e400", "-1e400", "18446744073709551611", "9223372036854775808"}) {
    const Report report =
        Parse(Replaced(tcp_, "\"sum_sent\":\t{",
                       "\"sum_sent\":\t{\n\t\t\t\"bytes\":\t" + std::string(number) + ","));
    ASSERT_EQ(report.outcome, ReportOutcome::kMeasured) << number;
    EXPECT_FALSE(report.measurement.upload->sent_bytes) << number;
    EXPECT_FALSE(report.measurement.upload->sent_bits_per_second) << number;
    EXPECT_EQ(report.measurement.implausible_values, 1U) << number;
  }
  for (const char* value : {"null", "\"1\"", "true"}) {
    const Report report =
        Parse(Replaced(tcp_, "\"sum_sent\":\t{",
                       "\"sum_sent\":\t{\n\t\t\t\"bytes\":\t" + std::string(value) + ","));
    EXPECT_FALSE(report.measurement.upload->sent_bytes) << value;
    EXPECT_EQ(report.measurement.implausible_values, 0U) << value;
  }
}

TEST_F(ReportParserTest, DoesNotBelieveMoreLossThanPackets) {
  std::string text = ReadCorpus("3.12/tbf_udp_loss");
  const std::size_t received = text.find("\"sum_received\"");
  text.replace(text.find("\"lost_packets\":\t1887", received), 20, "\"lost_packets\":\t9999");
  const Report report = Parse(text, Protocol::kUdp);
  ASSERT_EQ(report.outcome, ReportOutcome::kMeasured);
  EXPECT_FALSE(report.measurement.upload->lost_packets);
  EXPECT_FALSE(report.measurement.upload->lost_ratio);
  EXPECT_FALSE(report.measurement.upload->received_packets);
  EXPECT_EQ(report.measurement.implausible_values, 1U);
}

// The numbers are those of the servers' own reports of these tests.
TEST_F(ReportParserTest, BidirectionalSecondsAreTheirOwnSides) {
  const auto tcp =
      Parse(ReadCorpus("3.12/tcp_bidir"), Protocol::kTcp, Direction::kBidirectional).measurement;
  EXPECT_EQ(tcp.upload->sent_seconds, 1.000532);
  EXPECT_EQ(tcp.upload->received_seconds, 1.003484);
  EXPECT_EQ(tcp.download->sent_seconds, 1.003484);
  EXPECT_DOUBLE_EQ(tcp.download->sent_bits_per_second.value(), 1891333155.28698);
  EXPECT_EQ(tcp.download->received_seconds, 1.000532);
  EXPECT_DOUBLE_EQ(tcp.download->received_bits_per_second.value(), 232521728 * 8 / 1.000532);
  const auto udp =
      Parse(ReadCorpus("3.12/udp_bidir"), Protocol::kUdp, Direction::kBidirectional).measurement;
  EXPECT_EQ(udp.download->sent_seconds, 1.000411);
  EXPECT_DOUBLE_EQ(udp.download->sent_bits_per_second.value(), 10219415.82009794);
  EXPECT_EQ(udp.download->received_seconds, 1.000089);
  const auto old =
      Parse(ReadCorpus("3.9/udp_bidir"), Protocol::kUdp, Direction::kBidirectional).measurement;
  EXPECT_EQ(old.download->sent_seconds, 1.042705);
  EXPECT_DOUBLE_EQ(old.download->sent_bits_per_second.value(), 10056305.474702816);
  EXPECT_DOUBLE_EQ(old.download->received_seconds.value(), 1.000167);
}

TEST_F(ReportParserTest, SecondsThatAreNotTheForwardSumsAreTakenAsPrinted) {
  const auto with_seconds = [&](const std::string& sent, const std::string& received) {
    std::string text = ReadCorpus("3.12/tcp_bidir");
    for (const auto& [key, seconds] :
         {std::pair("sum_sent_bidir_reverse", sent), {"sum_received_bidir_reverse", received}}) {
      const std::string begin = std::string("\"").append(key).append("\":\t{");
      text = Replaced(text, begin,
                      std::string(begin).append("\n\t\t\t\"seconds\":\t").append(seconds) += ',');
    }
    return Parse(text, Protocol::kTcp, Direction::kBidirectional).measurement.download.value();
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
    const auto measured =
        Parse(ReadCorpus(path), Protocol::kTcp, Direction::kBidirectional).measurement;
    EXPECT_TRUE(measured.upload->mean_rtt_seconds) << path;
    EXPECT_FALSE(measured.download->min_rtt_seconds || measured.download->mean_rtt_seconds ||
                 measured.download->max_rtt_seconds)
        << path;
  }
}

TEST_F(ReportParserTest, LossIsOfThePacketsThatTheReceiverKnewOf) {
  const auto measured =
      Parse(ReadCorpus("3.12/tbf_udp_loss"), Protocol::kUdp).measurement.upload.value();
  EXPECT_EQ(measured.sent_packets, 2498);
  EXPECT_EQ(measured.received_packets, 2497 - 1887);
  EXPECT_DOUBLE_EQ(measured.lost_ratio.value(), 1887.0 / 2497);
}

TEST_F(ReportParserTest, RefusesDeepNestingWithoutHarm) {
  EXPECT_EQ(Outcome("{\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"),
            ReportOutcome::kNoDocument);
  EXPECT_EQ(Outcome(std::string(1'000'000, '{')), ReportOutcome::kNoDocument);
}

TEST_F(ReportParserTest, RefusesMoreStreamsThanThereCanBe) {
  std::string streams;
  for (std::size_t i = 0; i < kMaxReportStreams; ++i) streams += "{\n\t\t\t}, ";
  EXPECT_EQ(Outcome(Replaced(tcp_, "\t\t\"streams\":\t[{\n\t\t\t\t\"sender\"",
                             "\t\t\"streams\":\t[" + streams + "{\n\t\t\t\t\"sender\"")),
            ReportOutcome::kNoSums);
}

// Numbers that an earlier number's shape nearly fits: of a value that is wanted and of one that is
// not, in the next object and in the next report.
TEST_F(ReportParserTest, DoesNotTakeOneNumberForAnother) {
  const std::string report = ReadCorpus("3.12/tcp_P8");
  const std::vector<std::string> numbers = {
      "1",  "10",   "1.5", "01", "0.5", "00.5", "1x5",   "1:", "1/",    "4e-5",    "4.4e-05",
      "-1", "-0.5", "1.",  ".1", "1-5", "null", "\"1\"", "",   "1.5.5", "4.4x-05", "1 "};
  for (const std::string key : {"\"mean_rtt\":\t", "\"max_snd_wnd\":\t"}) {
    for (const std::string& first : numbers) {
      for (const std::string& second : numbers) {
        ReportParser parser;
        RegularReportReader elements({.script_bytes = 0});
        for (const std::string& other : {first, second}) {
          std::string text = report;
          std::size_t at = 0;
          for (const std::string& number : {first, first, other, first}) {
            at = text.find(key, at) + key.size();
            text.replace(at, text.find(',', at) - at, number);
          }
          const PaddedReport padded(text);
          const Report plain =
              plain_parser_.ParsePlainly(padded.text(), Protocol::kTcp, Direction::kUpload);
          const Report quick = parser.Parse(padded.text(), Protocol::kTcp, Direction::kUpload);
          ASSERT_EQ(quick.outcome, plain.outcome) << key << first << ' ' << other;
          ASSERT_EQ(quick.measurement, plain.measurement) << key << first << ' ' << other;
          Measurement by_elements;
          if (!elements.Read(padded.text())) continue;
          ASSERT_TRUE(
              BuildMeasurement(elements.values(), Protocol::kTcp, Direction::kUpload, by_elements));
          ASSERT_EQ(plain.outcome, ReportOutcome::kMeasured) << key << first << ' ' << other;
          ASSERT_EQ(by_elements, plain.measurement) << key << first << ' ' << other;
        }
      }
    }
  }
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

TEST_F(ReportParserTest, BothWaysAgreeOnMutatedReports) {
  std::mt19937 random(6);
  for (const char* path :
       {"3.9/tcp_bidir", "3.12/tcp_default", "3.12/tcp_P8", "3.12/udp_bidir", "3.18/tcp_P2",
        "3.12/tcp_title", "3.12/err_connection_refused", "3.12/tbf_udp_allloss"}) {
    const std::string report = ReadCorpus(path);
    const Protocol protocol =
        report.find("\"UDP\"") != report.npos ? Protocol::kUdp : Protocol::kTcp;
    const Direction direction =
        std::string_view(path).ends_with("bidir") ? Direction::kBidirectional : Direction::kUpload;
    for (int i = 0; i < 1000; ++i) {
      static_cast<void>(Parse(Mutate(report, random), protocol, direction));
      if (i % 4 == 0) static_cast<void>(Parse(report, protocol, direction));
      ASSERT_FALSE(HasFailure()) << path << ' ' << i;
    }
  }
}

TEST_F(ReportParserTest, ReadsALargeReportLikeASmallOne) {
  const std::string report = ReadCorpus("3.12/tcp_P32");
  const std::string large = RepeatFirstInterval(report, 300);
  ASSERT_GT(large.size(), std::size_t{3} << 20);
  EXPECT_EQ(Parse(large).measurement, Parse(report).measurement);
  // Cut short, continued, or with an error: no success.
  EXPECT_EQ(Outcome(large.substr(0, large.size() - 3)), ReportOutcome::kNoDocument);
  EXPECT_EQ(Outcome(large.substr(0, large.size() / 2)), ReportOutcome::kNoDocument);
  EXPECT_EQ(Outcome(large + "x"), ReportOutcome::kNoDocument);
  EXPECT_EQ(Outcome(large + tcp_.substr(0, 100)), ReportOutcome::kNoDocument);
  EXPECT_EQ(Outcome("x" + large), ReportOutcome::kNoDocument);
  EXPECT_EQ(Outcome(large.substr(0, large.size() - 3) + ",\n\t\"error\":\t\"x\"\n}\n"),
            ReportOutcome::kError);
  EXPECT_EQ(Outcome(Replaced(large, "\n\t\"start\"", "\n\t\"error\":\t\"x\",\n\t\"start\"")),
            ReportOutcome::kError);
}

TEST_F(ReportParserTest, FindsAFaultBesideTheIntervalsOfALargeReport) {
  const std::string large = RepeatFirstInterval(ReadCorpus("3.12/tcp_P32"), 100);
  ASSERT_GT(large.size(), kWholeCheckBytes);
  const std::size_t begin = large.find("\n\t\"intervals\"");
  const std::size_t end = large.rfind("],\n\t\"end\"");
  for (std::size_t at = 0; at < large.size(); at += 97) {
    if (at > begin && at < end) at = end;
    std::string text = large;
    text[at] = '\x01';
    ASSERT_EQ(Outcome(text), ReportOutcome::kNoDocument) << at;
  }
}

TEST_F(ReportParserTest, AllocatesNothingOnceWarm) {
  for (const char* path : {"3.12/tcp_default", "3.18/tcp_P128", "3.12/tcp_title", "3.9/udp_10M",
                           "3.12/err_connection_refused"}) {
    const PaddedReport report(ReadCorpus(path));
    static_cast<void>(parser_.Parse(report.text(), Protocol::kTcp, Direction::kUpload));
    const std::uint64_t before = allocations;
    static_cast<void>(parser_.Parse(report.text(), Protocol::kTcp, Direction::kUpload));
    EXPECT_EQ(allocations, before) << path;
  }
}

// The quick way is taken at all: otherwise the tests above compare the plain walk with itself.
TEST_F(ReportParserTest, WhatIperf3PrintsIsRegular) {
  RegularReportReader reader;
  for (const char* path :
       {"3.9/tcp_default", "3.12/tcp_default", "3.18/tcp_default", "3.9/tcp_bidir_P4",
        "3.12/udp_bidir", "3.18/udp_10M", "3.12/tcp_P128", "3.18/tcp_P128", "3.12/tcp_omit",
        "3.12/tcp_5s", "3.12/peer_fake_nan", "3.12/udp_t0_bytes1"}) {
    const PaddedReport report(ReadCorpus(path));
    EXPECT_TRUE(reader.Read(report.text())) << path;
    EXPECT_TRUE(reader.Read(report.text())) << path;
  }
}

}  // namespace
}  // namespace iperf3_exporter
