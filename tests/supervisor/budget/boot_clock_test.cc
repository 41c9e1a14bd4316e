#include "supervisor/budget/boot_clock.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;

constexpr hours kYear2026{24 * 365 * 56};

TEST(BootClockTest, CountsTheTimeSinceTheStartOfTheMachine) {
  const ClockReading earlier{.boot = hours(10), .wall = kYear2026};
  EXPECT_EQ(ElapsedSince(earlier, {hours(12), kYear2026 + hours(2)}), hours(2));
  // The wall clock was set in the meantime.
  EXPECT_EQ(ElapsedSince(earlier, {hours(12), kYear2026 + hours(24 * 365)}), hours(2));
  EXPECT_EQ(ElapsedSince(earlier, {hours(12), kYear2026 - hours(1)}), nanoseconds(0));
  EXPECT_EQ(ElapsedSince(earlier, {hours(12), kYear2026 + hours(1)}), hours(1));
}

TEST(BootClockTest, TrustsTheWallClockOverARestartOfTheMachine) {
  const ClockReading earlier{.boot = hours(10), .wall = kYear2026};
  EXPECT_EQ(ElapsedSince(earlier, {minutes(5), kYear2026 + hours(48)}), hours(48));
  // It has no battery: at least the time since the start has passed.
  EXPECT_EQ(ElapsedSince(earlier, {minutes(5), minutes(5)}), minutes(5));
}

TEST(BootClockTest, ReadsBothClocks) {
  const ClockReading first = ReadClocks();
  const ClockReading second = ReadClocks();
  EXPECT_GT(first.boot, nanoseconds(0));
  EXPECT_GT(first.wall, kYear2026 - hours(24 * 365));
  EXPECT_GE(second.boot, first.boot);
}

}  // namespace
}  // namespace iperf3_exporter
