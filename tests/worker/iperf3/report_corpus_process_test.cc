// Compares every report of the corpus with the result of an independent reader
// (expected_values.py), and the reason of every failed test with a table written by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

#include "tests/test_paths.h"
#include "tests/worker/iperf3/json_oracle.h"
#include "tests/worker/iperf3/padded_report.h"
#include "worker/iperf3/run_evaluation.h"

namespace iperf3_exporter {
namespace {

using Facts = std::map<std::string, std::string>;

// Cases of all versions. If the reader found fewer, the tests would compare less.
constexpr std::size_t kCases = 514;
constexpr int kMeasuredCases = 271;

// The reader's output, and its exit status as from waitpid.
std::string RunReader(int& status) {
  const std::string command =
      "python3 " + SourceFile("tests/worker/iperf3/expected_values.py ") + TestData("corpus");
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char buffer[4096];
  while (const std::size_t bytes = std::fread(buffer, 1, sizeof buffer, pipe)) {
    text.append(buffer, bytes);
  }
  status = pclose(pipe);
  return text;
}

// By "VERSION/CASE".
std::map<std::string, Facts> ParseFacts(const std::string& text) {
  std::map<std::string, Facts> facts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(' ');
    const std::size_t second = line.find(' ', first + 1);
    facts[line.substr(0, first)][line.substr(first + 1, second - first - 1)] =
        line.substr(second + 1);
  }
  return facts;
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

bool HasWord(const std::string& command, const std::string& word) {
  return command.find(" " + word + " ") != command.npos || command.ends_with(" " + word + '"');
}

// One run of the corpus as the worker saw it, by its command line.
struct Case {
  PaddedReport report;
  int wait_status = 0;
  std::string stderr_text;
  RunFacts expected;

  [[nodiscard]] TestResult Evaluate(ReportParser& parser) const {
    return EvaluateRun(wait_status, report.text(), stderr_text, expected, parser);
  }
};

int NumberAfter(const std::string& command, const std::string& option, int default_value) {
  const std::size_t at = command.find(" " + option + " ");
  return at == command.npos ? default_value : std::atoi(command.c_str() + at + option.size() + 2);
}

Case ReadCase(const std::string& path, const Facts& facts) {
  const std::string& command = facts.at("command");
  const int status = std::stoi(facts.at("status"));
  Case run{.report = PaddedReport::Read(TestData("corpus/" + path + ".json")),
           .wait_status = status < 0 ? -status : status << 8,
           .stderr_text = FromHex(facts.at("stderr"))};
  TestOptions& test = run.expected.test;
  test.protocol = HasWord(command, "-u") ? Protocol::kUdp : Protocol::kTcp;
  test.direction = HasWord(command, "--bidir") ? Direction::kBidirectional
                   : HasWord(command, "-R")    ? Direction::kDownload
                                               : Direction::kUpload;
  test.parallel = NumberAfter(command, "-P", 1);
  test.omit_seconds = NumberAfter(command, "-O", 0);
  if (HasWord(command, "-n") || HasWord(command, "-k")) test.bytes = 1;
  // Of these it matters only whether they were used.
  if (HasWord(command, "-B")) test.bind_address = IpAddress();
  if (HasWord(command, "--bind-dev")) test.bind_device = "x";
  if (HasWord(command, "--cport")) test.client_port = 1024;
  if (HasWord(command, "-C")) test.congestion = "x";
  if (HasWord(command, "-w")) test.window_bytes = 1;
  if (HasWord(command, "-M")) test.mss_bytes = 88;
  run.expected.period = std::chrono::seconds(NumberAfter(command, "-t", 10));
  // The run time of these processes was not recorded; it can't have been less.
  const std::chrono::seconds omit(run.expected.test.omit_seconds);
  run.expected.run_time = omit + run.expected.period + std::chrono::seconds(1);
  return run;
}

void AddFacts(const std::string& prefix, const std::optional<DirectionMeasurement>& direction,
              std::map<std::string, double>& to) {
  using D = DirectionMeasurement;
  static const std::map<std::string, std::optional<double> D::*> members = {
      {"sent_seconds", &D::sent_seconds},
      {"sent_bytes", &D::sent_bytes},
      {"sent_bits_per_second", &D::sent_bits_per_second},
      {"received_seconds", &D::received_seconds},
      {"received_bytes", &D::received_bytes},
      {"received_bits_per_second", &D::received_bits_per_second},
      {"retransmits", &D::retransmits},
      {"min_rtt_seconds", &D::min_rtt_seconds},
      {"mean_rtt_seconds", &D::mean_rtt_seconds},
      {"max_rtt_seconds", &D::max_rtt_seconds},
      {"max_congestion_window_bytes", &D::max_congestion_window_bytes},
      {"sent_packets", &D::sent_packets},
      {"received_packets", &D::received_packets},
      {"lost_packets", &D::lost_packets},
      {"lost_ratio", &D::lost_ratio},
      {"jitter_seconds", &D::jitter_seconds},
  };
  EXPECT_EQ(members.size(), kDirectionFields.size());
  if (!direction) return;
  for (const auto& [name, member] : members) {
    if (const auto& value = *direction.*member) to[prefix + name] = *value;
  }
}

void AddFacts(const std::string& prefix, const CpuUtilization& cpu,
              std::map<std::string, double>& to) {
  if (cpu.total) to[prefix + "total"] = *cpu.total;
  if (cpu.user) to[prefix + "user"] = *cpu.user;
  if (cpu.system) to[prefix + "system"] = *cpu.system;
}

std::map<std::string, double> FactsOf(const Measurement& measurement) {
  std::map<std::string, double> facts;
  AddFacts("upload.", measurement.upload, facts);
  AddFacts("download.", measurement.download, facts);
  AddFacts("local_cpu.", measurement.local_cpu, facts);
  AddFacts("remote_cpu.", measurement.remote_cpu, facts);
  facts["implausible_values"] = measurement.implausible_values;
  return facts;
}

class ReportCorpusTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    int status = -1;
    expected_ = ParseFacts(RunReader(status));
    ASSERT_EQ(status, 0);
  }
  void SetUp() override { ASSERT_EQ(expected_.size(), kCases); }

  static std::map<std::string, Facts> expected_;
  ReportParser parser_;  // one for all, as in the worker
};

std::map<std::string, Facts> ReportCorpusTest::expected_;

TEST_F(ReportCorpusTest, MeasuresWhatAnIndependentReaderFinds) {
  int measured = 0;
  for (const auto& [path, facts] : expected_) {
    const Case run = ReadCase(path, facts);
    EXPECT_EQ(run.Evaluate(parser_).has_value(), facts.at("up") == "1") << path;
    if (!facts.contains("implausible_values")) continue;
    ++measured;
    std::map<std::string, double> wanted;
    for (const auto& [name, value] : facts) {
      if (name != "command" && name != "status" && name != "stderr" && name != "up") {
        wanted[name] = std::stod(value);
      }
    }
    const TestResult result = parser_.Parse(run.report.text(), run.expected.test);
    ASSERT_TRUE(result) << path << ": " << result.error().detail;
    EXPECT_EQ(FactsOf(*result), wanted) << path;
  }
  EXPECT_EQ(measured, kMeasuredCases);
}

TEST_F(ReportCorpusTest, NumbersStayWithinBounds) {
  for (const auto& [path, facts] : expected_) {
    const Case run = ReadCase(path, facts);
    const TestResult result = parser_.Parse(run.report.text(), run.expected.test);
    if (!result) continue;
    for (const auto& direction : {result->upload, result->download}) {
      for (const DirectionField& field : kDirectionFields) {
        if (!direction) continue;
        const std::optional<double> value = (*direction).*field.member;
        EXPECT_TRUE(!value || (*value >= 0 && *value <= field.max)) << path << ' ' << *value;
      }
    }
  }
}

// Places of a report that are damaged.
std::size_t DamagedPlaces(std::size_t report_bytes) { return report_bytes > 50'000 ? 50 : 400; }

TEST_F(ReportCorpusTest, DamageIsNeverASuccess) {
  int measured = 0;
  for (const auto& [path, facts] : expected_) {
    const Case run = ReadCase(path, facts);
    const std::string text(run.report.text());
    const auto succeeds = [&](const std::string& damaged) {
      return parser_.Parse(PaddedReport(damaged).text(), run.expected.test).has_value();
    };
    if (!facts.contains("implausible_values")) continue;
    ++measured;
    EXPECT_TRUE(succeeds(text)) << path;
    EXPECT_FALSE(succeeds(text + text)) << path;
    EXPECT_FALSE(succeeds(text + '{')) << path;
    const std::size_t size = text.find_last_of('}');
    for (std::size_t at = 0; at < size; at += 1 + size / DamagedPlaces(size)) {
      EXPECT_FALSE(succeeds(text.substr(0, at))) << path << ' ' << at;
      const std::size_t structural = text.find_first_of("{}[]:,\"", at);
      std::string damaged = text;
      damaged[structural] = '\x01';
      EXPECT_FALSE(succeeds(damaged)) << path << ' ' << structural;
      damaged[structural] = static_cast<char>(text[structural] ^ 0x08);
      EXPECT_TRUE(!succeeds(damaged) ||
                  JsonOracle(damaged).AllowsSuccess(run.expected.test.protocol,
                                                    run.expected.test.direction))
          << path << ' ' << structural;
    }
  }
  EXPECT_EQ(measured, kMeasuredCases);
}

// One row per case that failed with some version: its reason with 3.9, 3.12 and 3.18; "up" where
// that version succeeded, "" where there is no such file.
struct FailedCase {
  const char* name;
  const char* reasons[3];
};

constexpr FailedCase kFailedCases[] = {
#include "tests/worker/iperf3/failed_cases.inc"
};

TEST_F(ReportCorpusTest, ReturnsTheExpectedReasonOfEachFailure) {
  std::map<std::string, std::string> wanted;
  constexpr const char* kVersions[] = {"3.9/", "3.12/", "3.18/"};
  for (const FailedCase& failed : kFailedCases) {
    for (int i = 0; i < 3; ++i) {
      if (failed.reasons[i][0] != '\0')
        wanted[kVersions[i] + std::string(failed.name)] = failed.reasons[i];
    }
  }
  for (const auto& [path, facts] : expected_) {
    const TestResult result = ReadCase(path, facts).Evaluate(parser_);
    const auto reason = wanted.find(path);
    EXPECT_EQ(result ? "up" : std::string(Name(result.error().reason)),
              reason == wanted.end() ? "up" : reason->second)
        << path << ": " << (result ? "" : result.error().detail);
    if (reason != wanted.end()) wanted.erase(reason);
  }
  EXPECT_THAT(wanted, testing::IsEmpty()) << "rows without a report";
}

}  // namespace
}  // namespace iperf3_exporter
