#include "common/limited_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::EndsWith;

// The last fields of each line that `write` logs.
std::vector<std::string> EndsOfLines(const auto& write) {
  InitLogging("limited_log_test", LogLevel::kInfo, LogFormat::kLogfmt);
  testing::internal::CaptureStderr();
  write();
  std::istringstream text(testing::internal::GetCapturedStderr());
  std::vector<std::string> ends;
  for (std::string line; std::getline(text, line);)
    ends.push_back(line.substr(line.find(" n=") + 1));
  return ends;
}

TEST(LimitedLogTest, CountsTheLinesSuppressedSinceTheLastOne) {
  LimitedLog log(LogLevel::kWarn, "refused");
  const auto lines = EndsOfLines([&log] {
    for (int n = 1; n <= LimitedLog::kLinesPerSecond + 3; ++n) log.Add("a", {{"n", n}});
    std::this_thread::sleep_until(Clock::now() + std::chrono::seconds(1));  // a new second for "a"
    log.Add("a", {{"n", 10}});
    log.Add("a", {{"n", 11}});
  });
  EXPECT_THAT(
      lines, ElementsAre("n=1", "n=2", "n=3", "n=4", "n=5", "n=10 more_since_last_line=3", "n=11"));
}

TEST(LimitedLogTest, LimitsEachReasonByItself) {
  LimitedLog log(LogLevel::kWarn, "refused");
  const auto lines = EndsOfLines([&log] {
    for (int n = 0; n < 100; ++n) log.Add("a", {{"n", 1}});
    log.Add("b", {{"n", 2}});
  });
  EXPECT_LT(lines.size(), 20U);
  EXPECT_THAT(lines.back(), EndsWith("n=2"));
}

}  // namespace
}  // namespace iperf3_exporter
