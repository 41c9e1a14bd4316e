// Reports of the corpus and variants of them, parsed and compared with a second parser.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/test_paths.h"
#include "tests/worker/iperf3/json_oracle.h"
#include "tests/worker/iperf3/padded_report.h"

namespace iperf3_exporter {

inline std::string ReadCorpus(const std::string& path) {
  return std::string(PaddedReport::Read(TestData("corpus/" + path + ".json")).text());
}

// `text` with the first `from` replaced; fails the test when there is none.
inline std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  if (at != text.npos) text.replace(at, from.size(), to);
  return text;
}

// As if the host had sent so many `bytes`: of duplicate keys the first counts.
inline std::string WithSentBytes(const std::string& report, const std::string& bytes) {
  return Replaced(report, "\"sum_sent\":\t{", "\"sum_sent\":\t{\n\t\t\t\"bytes\":\t" + bytes + ",");
}

class ReportFixture : public testing::Test {
 protected:
  // A success must be one in the oracle's eyes, too.
  static TestResult Parse(const std::string& text, Protocol protocol = Protocol::kTcp,
                          Direction direction = Direction::kUpload, std::uint32_t parallel = 1,
                          std::uint32_t omit_seconds = 0) {
    const PaddedReport report(text);
    TestResult result = ReportParser().Parse(report.text(), {.protocol = protocol,
                                                             .direction = direction,
                                                             .parallel = parallel,
                                                             .omit_seconds = omit_seconds});
    if (result) {
      EXPECT_TRUE(JsonOracle(text).AllowsSuccess(protocol, direction)) << text.substr(0, 4000);
    }
    return result;
  }

  const std::string tcp_ = ReadCorpus("3.12/tcp_default");
};

}  // namespace iperf3_exporter
