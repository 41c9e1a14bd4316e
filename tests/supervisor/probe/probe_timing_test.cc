#include "supervisor/probe/probe_timing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "worker/loop/job_runner.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

const Deadline kDeadline{seconds(1000)};
// The period of a test that starts `left` before the deadline.
std::optional<std::uint32_t> PeriodWithin(const TestOptions& test, std::chrono::nanoseconds left) {
  return FittingPeriod(test.period_seconds, BuildJobTimes(test, kDeadline, kDeadline),
                       kDeadline - left);
}

TEST(ProbeTimingTest, ScrapeTimeoutHeader) {
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

TEST(ProbeTimingTest, DeadlineFollowsTheContract) {
  const Deadline now{seconds(1000)};
  const ProbeTimes times;
  EXPECT_EQ(ProbeDeadline(now, seconds(10), times) - now, milliseconds(9500));
  EXPECT_EQ(ProbeDeadline(now, std::nullopt, times) - now, milliseconds(29500));
  // An offset as large as the timeout takes half of it.
  EXPECT_EQ(ProbeDeadline(now, milliseconds(500), times) - now, milliseconds(250));
  EXPECT_EQ(ProbeDeadline(now, milliseconds(100), times) - now, milliseconds(50));
  EXPECT_EQ(ProbeDeadline(now, milliseconds(501), times) - now, milliseconds(1));
  ProbeTimes limited = times;
  limited.limit = seconds(4);
  EXPECT_EQ(ProbeDeadline(now, seconds(10), limited) - now, seconds(4));
  EXPECT_EQ(ProbeDeadline(now, seconds(2), limited) - now, milliseconds(1500));
}

TEST(ProbeTimingTest, AnOwnTestMayWaitForTheLockAndThenRun) {
  const Deadline now{seconds(1000)};
  const TestOptions test{.period_seconds = 10, .omit_seconds = 2};
  const auto allowed = [&](nanoseconds gap, nanoseconds lock_timeout, const ProbeTimes& times) {
    return OwnTestDeadline(now, test, gap, lock_timeout, times) - now;
  };
  ProbeTimes times;
  // The default timeout and the offset are those of a scrape.
  EXPECT_EQ(allowed(seconds(3600), seconds(80), times), milliseconds(93'300));
  EXPECT_EQ(allowed(seconds(60), seconds(80), times), seconds(60));
  times.limit = seconds(30);
  EXPECT_EQ(allowed(seconds(3600), seconds(80), times), seconds(30));
  EXPECT_EQ(allowed(seconds(20), seconds(80), times), seconds(20));
}

TEST(ProbeTimingTest, ATimeoutShortensTheLongestRun) {
  const TestOptions test{.period_seconds = 10, .omit_seconds = 2};
  EXPECT_EQ(LongestRun(test, {}), milliseconds(13'300));
  EXPECT_EQ(LongestRun(test, {.limit = seconds(13)}), seconds(13));
  EXPECT_EQ(LongestRun(test, {.limit = seconds(14)}), milliseconds(13'300));
}

// By the mode: 7, 8, 6 and 7 round trips of 150 ms, and 250 ms to start and to end.
TEST(ProbeTimingTest, TheOverheadFollowsFromTheRoundTrips) {
  EXPECT_EQ(TestOverhead({}), milliseconds(1300));
  EXPECT_EQ(TestOverhead({.direction = Direction::kDownload}), milliseconds(1300));
  EXPECT_EQ(TestOverhead({.direction = Direction::kBidirectional}), milliseconds(1450));
  EXPECT_EQ(TestOverhead({.protocol = Protocol::kUdp}), milliseconds(1150));
  EXPECT_EQ(TestOverhead({.protocol = Protocol::kUdp, .direction = Direction::kBidirectional}),
            milliseconds(1300));
}

TEST(ProbeTimingTest, CutsAPeriodToLeaveTimeForALongPath) {
  const TestOptions test{.period_seconds = 5};
  const milliseconds overhead = TestOverhead(test);
  EXPECT_EQ(PeriodWithin(test, seconds(10)), 5U);
  EXPECT_EQ(PeriodWithin(test, seconds(5) + overhead), 5U);
  EXPECT_EQ(PeriodWithin(test, seconds(5) + overhead - milliseconds(1)), 4U);
  EXPECT_EQ(PeriodWithin(test, seconds(4) + overhead), 4U);
  EXPECT_EQ(PeriodWithin(test, seconds(2) + overhead), 2U);
  const TestOptions udp{.protocol = Protocol::kUdp, .period_seconds = 5};
  EXPECT_EQ(PeriodWithin(udp, seconds(5) + overhead - milliseconds(1)), 5U);
}

TEST(ProbeTimingTest, CutsToOneSecondBeforeItGivesUp) {
  const TestOptions test{.period_seconds = 5};
  EXPECT_EQ(PeriodWithin(test, seconds(2) + TestOverhead(test) - milliseconds(1)), 1U);
  EXPECT_EQ(PeriodWithin(test, seconds(1) + kMinTestOverhead), 1U);
  EXPECT_EQ(PeriodWithin(test, seconds(1) + kMinTestOverhead - milliseconds(1)), std::nullopt);
  EXPECT_EQ(PeriodWithin(test, seconds(0)), std::nullopt);
}

TEST(ProbeTimingTest, TheLongestPeriodIsWhatAWorkerAllows) {
  const TestOptions test{.period_seconds = 5, .omit_seconds = 3};
  const TestOptions endless{.period_seconds = kMaxPeriodSeconds, .omit_seconds = 3};
  for (const milliseconds time : {seconds(4) + kMinTestOverhead, milliseconds(6299),
                                  milliseconds(6300), milliseconds(7000), milliseconds(60'000)}) {
    EXPECT_EQ(LongestPeriod(test, kDeadline, kDeadline - time), PeriodWithin(endless, time))
        << time.count();
  }
  EXPECT_EQ(LongestPeriod(test, kDeadline, kDeadline + seconds(1)), 1U);
}

TEST(ProbeTimingTest, CountsTheOmittedSeconds) {
  const TestOptions test{.period_seconds = 5, .omit_seconds = 3};
  EXPECT_EQ(PeriodWithin(test, seconds(8) + TestOverhead(test)), 5U);
  EXPECT_EQ(PeriodWithin(test, seconds(6) + TestOverhead(test)), 3U);
  EXPECT_EQ(PeriodWithin(test, seconds(3) + kMinTestOverhead), std::nullopt);
  EXPECT_EQ(LastStart(test, kDeadline), kDeadline - seconds(4) - kMinTestOverhead);
}

// 5 s to connect, a round trip of a second each, and 15 s for the results.
TEST(ProbeTimingTest, EndsTheTestOfASilentServerLongBeforeALateDeadline) {
  const auto max_overhead = [](const TestOptions& test) {
    return BuildJobTimes(test, kDeadline, kDeadline - seconds(9)).max_overhead;
  };
  EXPECT_EQ(max_overhead({}), seconds(5 + 7 + 15));
  EXPECT_EQ(max_overhead({.protocol = Protocol::kUdp}), seconds(5 + 6 + 15));
  EXPECT_EQ(max_overhead({.direction = Direction::kBidirectional, .parallel = 4}),
            seconds(5 + 8 + 6 + 15));
  EXPECT_EQ(max_overhead({.bytes = 1}), seconds(7));
  EXPECT_GT(max_overhead({.bytes = 1}), TestOverhead({.bytes = 1}));
}

TEST(ProbeTimingTest, EndsIperf3BeforeTheAnswerAndTheWorkerAfterIt) {
  const TestOptions test{.period_seconds = 5};
  const JobTimes times = BuildJobTimes(test, kDeadline, kDeadline - seconds(9));
  EXPECT_EQ(times.lock_by, kDeadline - seconds(9));
  EXPECT_EQ(times.start_by, LastStart(test, kDeadline));
  EXPECT_LT(times.start_by, times.terminate_at);
  EXPECT_LT(times.terminate_at, times.kill_at);
  EXPECT_LT(times.kill_at, kDeadline);
  // Longer than SIGTERM, 500 ms and SIGKILL need.
  EXPECT_GT(WorkerKillTime(kDeadline), kDeadline + kTermGrace);
  EXPECT_EQ(WorkerKillTime(kDeadline), kDeadline + seconds(1));
}

TEST(ProbeTimingTest, DividesTheTimeToConnectAmongTheAddresses) {
  const Deadline now = kDeadline - seconds(6);
  EXPECT_EQ(ConnectTimeout(now, kDeadline, 1), seconds(5));
  EXPECT_EQ(ConnectTimeout(now, kDeadline, 2), seconds(3));
  EXPECT_EQ(ConnectTimeout(now, kDeadline, 600), milliseconds(100));
  EXPECT_EQ(ConnectTimeout(kDeadline, now, 1), milliseconds(100));
}

// The shortest and the longest of many pauses before the same retry.
std::pair<nanoseconds, nanoseconds> Extremes(std::uint32_t retries_done) {
  std::minstd_rand random(1);
  auto shortest = nanoseconds::max();
  auto longest = nanoseconds::min();
  for (int i = 0; i < 10'000; ++i) {
    const nanoseconds delay = RetryDelay(retries_done, random);
    shortest = std::min(shortest, delay);
    longest = std::max(longest, delay);
  }
  return {shortest, longest};
}

TEST(RetryDelayTest, LeavesTheServerAPauseBeforeTheFirstBusyRetry) {
  std::minstd_rand random(1);
  for (int i = 0; i < 1000; ++i) {
    const nanoseconds delay = FirstBusyRetryDelay(random);
    EXPECT_GE(delay, milliseconds(50));
    EXPECT_LE(delay, milliseconds(100));
  }
}

TEST(RetryDelayTest, DoublesWithJitter) {
  nanoseconds base = kFirstRetryDelay;
  for (std::uint32_t retry = 0; retry <= kMaxRetryDoublings; ++retry, base *= 2) {
    const auto [shortest, longest] = Extremes(retry);
    EXPECT_GE(shortest, base / 2) << retry;
    EXPECT_LE(longest, base * 3 / 2) << retry;
    // All of the range is used.
    EXPECT_LT(shortest, base * 51 / 100) << retry;
    EXPECT_GT(longest, base * 149 / 100) << retry;
  }
}

TEST(RetryDelayTest, HasAMaximum) {
  const nanoseconds max_base = kFirstRetryDelay * (1 << kMaxRetryDoublings);
  for (const std::uint32_t retry : {kMaxRetryDoublings + 1, 31U, 32U, UINT32_MAX}) {
    const auto [shortest, longest] = Extremes(retry);
    EXPECT_GE(shortest, max_base / 2) << retry;
    EXPECT_LE(longest, max_base * 3 / 2) << retry;
  }
}

TEST(RetryDelayTest, DiffersBetweenExporters) {
  std::minstd_rand one(1);
  std::minstd_rand other(2);
  EXPECT_NE(RetryDelay(0, one), RetryDelay(0, other));
}

}  // namespace
}  // namespace iperf3_exporter
