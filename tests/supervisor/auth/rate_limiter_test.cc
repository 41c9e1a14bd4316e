#include "supervisor/auth/rate_limiter.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

TEST(RateLimiterTest, AllowsABurstThenOnePerInterval) {
  RateLimiter limiter(milliseconds(10), 2);
  const Clock::time_point start{milliseconds(1000)};
  EXPECT_TRUE(limiter.Take(start));
  EXPECT_TRUE(limiter.Take(start));
  EXPECT_FALSE(limiter.Take(start + milliseconds(9)));
  EXPECT_TRUE(limiter.Take(start + milliseconds(11)));
  EXPECT_FALSE(limiter.Take(start + milliseconds(12)));
  // Tokens accumulate up to the burst.
  EXPECT_TRUE(limiter.Take(start + std::chrono::hours(1)));
  EXPECT_TRUE(limiter.Take(start + std::chrono::hours(1)));
  EXPECT_FALSE(limiter.Take(start + std::chrono::hours(1)));
}

TEST(RateLimiterTest, KnowsItsValues) {
  const RateLimiter limiter(milliseconds(10), 2);
  EXPECT_TRUE(limiter.Is(milliseconds(10), 2));
  EXPECT_FALSE(limiter.Is(milliseconds(10), 3));
  EXPECT_FALSE(limiter.Is(milliseconds(20), 2));
}

TEST(RateLimiterTest, DoesNotLimitWithIntervalZero) {
  RateLimiter limiter(std::chrono::nanoseconds(0), 0);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limiter.Take(Clock::time_point()));
}

}  // namespace
}  // namespace iperf3_exporter
