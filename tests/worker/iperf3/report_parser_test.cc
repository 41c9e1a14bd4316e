#include "worker/iperf3/report_parser.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#include "common/build_sanitizers.h"
#include "tests/worker/iperf3/large_report.h"
#include "tests/worker/iperf3/report_fixture.h"
#include "worker/process/output_buffer.h"
#include "worker/sandbox/resource_limits.h"

namespace iperf3_exporter {
namespace {

enum class Outcome { kMeasured, kError, kNoDocument, kNoSums, kOtherStreams };

rlim_t UsedAddressSpace() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

class ReportParserTest : public ReportFixture {
 protected:
  static Outcome OutcomeOf(const TestResult& result) {
    if (result) return Outcome::kMeasured;
    if (result.error().reason != FailureReason::kBadOutput) return Outcome::kError;
    const std::string& detail = result.error().detail;
    if (detail.find("lacks the sums") != detail.npos) return Outcome::kNoSums;
    return detail.ends_with(" streams, not 1") ? Outcome::kOtherStreams : Outcome::kNoDocument;
  }
  static Outcome OutcomeOf(const std::string& text) { return OutcomeOf(Parse(text)); }
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
  for (const char* garbage : {"\x01", "\x80", "\xff", "]", "}", "\"", "\\", ",", "x"}) {
    for (std::size_t at = 0; at < tcp_.size(); at += 3) {
      std::string text = tcp_;
      text.replace(at, 1, garbage);
      static_cast<void>(Parse(text));
      text = tcp_;
      text.insert(at, garbage);
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
           {"\"timesecs\":\t", "\"time\\qsecs\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t1.2.3,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t1 2,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\tnul,\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t{\"a\":\t1],\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\":\t[1 2],\n\t\t\t\"x\":\t"},
           {"\"timesecs\":\t", "\"timesecs\" \t"},
           {"\"timesecs\":\t", "timesecs:\t"},
           {"\"omitted\":\tfalse", "\"omitted\":\tfalsey"}}) {
    EXPECT_EQ(OutcomeOf(Replaced(tcp_, from, to)), Outcome::kNoDocument) << to;
  }
  EXPECT_EQ(OutcomeOf(Replaced(tcp_, "\"timesecs\":\t", "\"timesecs\":\t1.5e+3,\n\"x\" : ")),
            Outcome::kMeasured);
}

// Members that the parser reads, with values that it has no use for.
TEST_F(ReportParserTest, ValidatesMembersOfTheWrongType) {
  const std::string text =
      Replaced(tcp_, "\n\t\"end\":\t{", "\n\t\"error\":\t\"\",\n\t\"end\":\t{\n\t\t\"sum\":\t{},");
  for (const auto& [from, key] :
       std::vector<std::pair<const char*, const char*>>{{"\n\t\"start\"", "start"},
                                                        {"\n\t\"start\"", "connected"},
                                                        {"\n\t\"start\"", "connecting_to"},
                                                        {"\n\t\"start\"", "test_start"},
                                                        {"\n\t\"start\"", "blksize"},
                                                        {"\n\t\"error\"", "error"},
                                                        {"\n\t\"end\"", "end"},
                                                        {"\n\t\"end\"", "sum"},
                                                        {"\n\t\"end\"", "sum_sent"},
                                                        {"\n\t\"end\"", "seconds"},
                                                        {"\n\t\"end\"", "streams"},
                                                        {"\n\t\"end\"", "sender"},
                                                        {"\n\t\"end\"", "max_rtt"},
                                                        {"\n\t\"end\"", "cpu_utilization_percent"},
                                                        {"\n\t\"end\"", "host_total"}}) {
    const std::string member = "\"" + std::string(key) + "\":\t";
    const std::size_t at = text.find(member, text.find(from));
    ASSERT_NE(at, text.npos) << key;
    for (const char* value : {"truE", "nul", "01", "1.", "\"\\q\"", "[1 2]", "[{}", "[1.]",
                              "{\"a\" 1}", "{\"a\":1.}"}) {
      std::string damaged = text;
      damaged.insert(at, member + value + ",");
      EXPECT_EQ(OutcomeOf(damaged), Outcome::kNoDocument) << key << ' ' << value;
    }
  }
}

TEST_F(ReportParserTest, ValidatesWhatIsNotCounted) {
  const std::string report = ReadCorpus("3.9/tcp_bidir");
  const auto outcome = [&report](std::string_view before, const std::string& inserted) {
    return OutcomeOf(Parse(Replaced(report, before, inserted + std::string(before)), Protocol::kTcp,
                           Direction::kBidirectional));
  };
  const std::string_view cpu = "\n\t\t\"cpu_utilization_percent\"";
  // The second stream is not one that this host sends on.
  const std::string_view second = "\n\t\t\t\t\"sender\":\t{\n\t\t\t\t\t\"socket\":\t7";
  EXPECT_EQ(outcome(second, "\n\"x\":\t1,"), Outcome::kMeasured);
  EXPECT_EQ(outcome(second, "\n\"x\":\t1.,"), Outcome::kNoDocument);
  EXPECT_EQ(outcome(cpu, "\"sum_sent\":\t{\"x\":\t1},"), Outcome::kMeasured);
  EXPECT_EQ(outcome(cpu, "\"sum_sent\":\t{\"x\":\t1.},"), Outcome::kNoDocument);
  EXPECT_EQ(outcome(cpu, "\"streams\":\t[1.],"), Outcome::kNoDocument);
  EXPECT_EQ(outcome("{\n\t\t\t\t\"socket\":\t5", "1.,"), Outcome::kNoDocument);  // connected
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
           {"\n\t\t\t\"retransmits\":\t5,\n\t\t\t\"sender\"",
            "\n\t\t\t\"retr\\u0061nsmits\":\t5,\n\t\t\t\"retransmits\":\t7,\n\t\t\t\"sender\""},
           {"\n\t\t\t\t\"receiver\"",
            "\n\t\t\t\t\"sender\":\t{\"max_rtt\":\t1},\n\t\t\t\t\"receiver\""},
           {"\"cpu_utilization_percent\":\t{",
            "\"streams\":\t[],\n\t\t\"cpu_utilization_percent\":\t{"},
           {"\n\t\t\"sender_tcp_congestion\"",
            "\n\t\t\"cpu_utilization_percent\":\t{},\n\t\t\"sender_tcp_congestion\""}}) {
    EXPECT_EQ(Parse(Replaced(tcp_, from, to)).value(), wanted) << to;
  }
}

TEST_F(ReportParserTest, ReadsThePhaseFromTheFirstOfDuplicateKeys) {
  const PaddedReport report(R"({
    "start": {"connected": [{}], "connected": [{}]},
    "start": {"connected": [{}], "connecting_to": {}, "test_start": {}}})");
  ReportParser parser;
  EXPECT_EQ(OutcomeOf(parser.Parse(report.text(), {})), Outcome::kNoSums);
  EXPECT_EQ(parser.connected_streams(), 1U);
  EXPECT_EQ(parser.phase(), TestPhase::kConnecting);
}

TEST_F(ReportParserTest, ReadsThePhaseOfAReportWithoutAListOfStreams) {
  const PaddedReport report(R"({"start": {"connecting_to": {}, "sndbuf_actual": 1}})");
  ReportParser parser;
  EXPECT_EQ(OutcomeOf(parser.Parse(report.text(), {})), Outcome::kNoSums);
  EXPECT_EQ(parser.phase(), TestPhase::kAgreed);
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
  const std::string digits(400, '1');
  for (const std::string& number :
       {std::string("1e400"), std::string("-1e400"), std::string("18446744073709551616"),
        std::string("-9223372036854775809"), std::string("NaN"), std::string("Infinity"),
        std::string("01"), std::string("+1"), std::string(".5"), std::string("1."),
        std::string("0x10"), digits, digits + ".5", "0." + digits,
        std::string("99999999999999999999")}) {
    EXPECT_EQ(OutcomeOf(WithSentBytes(tcp_, number)), Outcome::kNoDocument) << number;
    EXPECT_EQ(
        OutcomeOf(Replaced(tcp_, "\"timesecs\":\t", "\"timesecs\":\t" + number + ",\n\"x\":\t")),
        Outcome::kNoDocument)
        << number;
  }
}

TEST_F(ReportParserTest, ReadsLongNumbersExactly) {
  for (const auto& [text, value] : std::vector<std::pair<std::string, double>>{
           {"0.95000000000000000000", 0.95},
           {"0.12345678901234567890123", 0.12345678901234568},
           {"1000000000.000000001", 1000000000.000000001},
           {"1234567890.12345678901234567890", 1234567890.1234567},
           {"0.00012345678901234567", 0.00012345678901234567},
           {"1.2345678901234567e-05", 1.2345678901234567e-05},
           {"1e-400               ", 0},
           {"1234               ", 1234},
           {"9223372036854774784  ", 9223372036854774784.0}}) {
    EXPECT_EQ(Parse(WithSentBytes(tcp_, text)).value().upload->sent_bytes, value) << text;
  }
}

TEST_F(ReportParserTest, RejectsDeepNesting) {
  const auto nested = [this](std::size_t depth) {
    return Replaced(
        tcp_, "\n\t\"end\"",
        "\n\t\"x\":\t" + std::string(depth, '[') + std::string(depth, ']') + ",\n\t\"end\"");
  };
  EXPECT_EQ(OutcomeOf(nested(64)), Outcome::kMeasured);
  EXPECT_EQ(OutcomeOf(nested(65)), Outcome::kNoDocument);
  const auto nested_objects = [this](std::size_t depth) {
    std::string objects = "0";
    for (std::size_t i = 0; i < depth; ++i) objects.insert(0, "{\"x\":").append("}");
    return Replaced(tcp_, "\n\t\"end\"", "\n\t\"x\":\t" + objects + ",\n\t\"end\"");
  };
  EXPECT_EQ(OutcomeOf(nested_objects(64)), Outcome::kMeasured);
  EXPECT_EQ(OutcomeOf(nested_objects(65)), Outcome::kNoDocument);
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

TEST_F(ReportParserTest, ReadsNothingBehindThePadding) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory =
      ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  char* const end = static_cast<char*>(memory) + page;
  ASSERT_EQ(::mprotect(end, page, PROT_NONE), 0);
  for (const std::string text :
       {"{\"a\":[{}", "{\"a\":{\"b\":{}", "{\"a\":[1", "{\"a\":[{}}", "{\"a\":1}"}) {
    for (const char padding : {',', ':', ']', '}', '[', '{', '"', '1', '-', '.', 'e', 'x'}) {
      char* const padded = end - kReportPaddingBytes;
      std::memset(padded, padding, kReportPaddingBytes);
      char* const begin = padded - text.size();
      std::ranges::copy(text, begin);
      EXPECT_FALSE(ReportParser().Parse({begin, text.size()}, {})) << text << ' ' << padding;
    }
  }
  ::munmap(memory, 2 * page);
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
