#include "supervisor/probe/retry_delay.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

// The shortest and the longest of many pauses before the same retry.
std::pair<nanoseconds, nanoseconds> Extremes(std::uint32_t retries_done) {
  std::minstd_rand random(1);
  auto least = nanoseconds::max();
  auto most = nanoseconds::min();
  for (int i = 0; i < 10'000; ++i) {
    const nanoseconds delay = RetryDelay(retries_done, random);
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  return {least, most};
}

TEST(RetryDelayTest, LiesBetweenHalfAndOneAndAHalfOfWhatDoubles) {
  nanoseconds base = kFirstRetryDelay;
  for (std::uint32_t retry = 0; retry <= kMaxRetryDoublings; ++retry, base *= 2) {
    const auto [least, most] = Extremes(retry);
    EXPECT_GE(least, base / 2) << retry;
    EXPECT_LE(most, base * 3 / 2) << retry;
    // And uses all of it.
    EXPECT_LT(least, base * 51 / 100) << retry;
    EXPECT_GT(most, base * 149 / 100) << retry;
  }
}

TEST(RetryDelayTest, GrowsNoFurtherThanItsBound) {
  const nanoseconds longest = kFirstRetryDelay * (1 << kMaxRetryDoublings);
  for (const std::uint32_t retry : {kMaxRetryDoublings + 1, 31U, 32U, UINT32_MAX}) {
    const auto [least, most] = Extremes(retry);
    EXPECT_GE(least, longest / 2) << retry;
    EXPECT_LE(most, longest * 3 / 2) << retry;
  }
}

TEST(RetryDelayTest, IsNotTheSameForTwoExporters) {
  std::minstd_rand one(1);
  std::minstd_rand other(2);
  EXPECT_NE(RetryDelay(0, one), RetryDelay(0, other));
}

}  // namespace
}  // namespace iperf3_exporter
