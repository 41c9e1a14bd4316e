#include "supervisor/probe/probe_deadline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(ProbeDeadlineTest, ScrapeTimeoutHeader) {
  EXPECT_EQ(*ParseScrapeTimeout("10"), seconds(10));
  EXPECT_EQ(*ParseScrapeTimeout("0.5"), milliseconds(500));
  EXPECT_EQ(*ParseScrapeTimeout("1e1"), seconds(10));
  EXPECT_EQ(*ParseScrapeTimeout("1e300"), seconds(86400));
  for (const std::string bad :
       {"", "0", "-1", "abc", "inf", "nan", "10s", "1e999", " 10", "0x10", "-inf"}) {
    const auto timeout = ParseScrapeTimeout(bad);
    ASSERT_FALSE(timeout) << bad;
    EXPECT_THAT(timeout.error().message,
                HasSubstr("must be a finite positive number, got \"" + bad));
  }
}

TEST(ProbeDeadlineTest, DeadlineFollowsTheContract) {
  const Deadline now{seconds(1000)};
  const ProbeTimes times;
  EXPECT_EQ(ProbeDeadline(now, seconds(10), times) - now, milliseconds(9500));
  EXPECT_EQ(ProbeDeadline(now, std::nullopt, times) - now, milliseconds(29500));
  // An offset as large as the time-out takes half of it.
  EXPECT_EQ(ProbeDeadline(now, milliseconds(500), times) - now, milliseconds(250));
  EXPECT_EQ(ProbeDeadline(now, milliseconds(100), times) - now, milliseconds(50));
  EXPECT_EQ(ProbeDeadline(now, milliseconds(501), times) - now, milliseconds(1));
  ProbeTimes limited = times;
  limited.limit = seconds(4);
  EXPECT_EQ(ProbeDeadline(now, seconds(10), limited) - now, seconds(4));
  EXPECT_EQ(ProbeDeadline(now, seconds(2), limited) - now, milliseconds(1500));
}

}  // namespace
}  // namespace iperf3_exporter
