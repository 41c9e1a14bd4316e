#include "supervisor/schedule/start_times.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr WallTime kBegin{seconds(1'800'000'000)};

std::string Host(int number) { return "probe-" + std::to_string(number) + ".example.org"; }
std::string TestName(int number) { return "test-" + std::to_string(number); }

// The starts of the 20 tests of 100 hosts in one hour from kBegin, counted by second.
std::map<std::int64_t, int> CountBySecond(nanoseconds every, std::uint32_t jitter_percent) {
  std::map<std::int64_t, int> counts;
  for (int host = 0; host < 100; ++host) {
    for (int test = 0; test < 20; ++test) {
      const StartTimes times(Host(host), TestName(test), every, jitter_percent);
      for (WallTime start = times.FirstAfter(kBegin); start < kBegin + hours(1);
           start = times.FirstAfter(start)) {
        ++counts[std::chrono::floor<seconds>(start - kBegin).count()];
      }
    }
  }
  return counts;
}

// 2000 tests within 1800 seconds: the starts of a second are a Poisson variable of mean 10/9. More
// than 9 are expected in one second of three million, and a share of e^(-10/9) without any.
TEST(StartTimesTest, SpreadsTheTestsOfManyHosts) {
  for (const std::uint32_t jitter : {0U, 20U}) {
    const auto counts = CountBySecond(minutes(30), jitter);
    int starts = 0;
    double squares = 0;
    for (const auto& [second, count] : counts) {
      EXPECT_LE(count, 9) << second;
      starts += count;
      squares += count * count;
    }
    EXPECT_NEAR(starts, 4000, 100) << jitter;
    // The variance of a Poisson variable is its mean. 3600 seconds show it within a tenth.
    const double mean = starts / 3600.0;
    EXPECT_NEAR(squares / 3600 - mean * mean, mean, 0.2) << jitter;
    EXPECT_NEAR(static_cast<double>(counts.size()) / 3600, 1 - std::exp(-mean), 0.03) << jitter;
  }
}

// Every tenth of the interval has its tenth of the tests: 200, and with five standard deviations no
// fewer than 133.
TEST(StartTimesTest, UsesTheWholeInterval) {
  std::vector<int> tenths(10);
  for (int host = 0; host < 100; ++host) {
    for (int test = 0; test < 20; ++test) {
      const WallTime start =
          StartTimes(Host(host), TestName(test), hours(10), 0).FirstAfter(kBegin);
      ++tenths[static_cast<std::size_t>((start - kBegin) / hours(1))];
    }
  }
  for (const int count : tenths) EXPECT_NEAR(count, 200, 67);
}

// The numbers are those of any other build: a restart or an update moves no test.
TEST(StartTimesTest, AreTheSameAfterARestart) {
  EXPECT_EQ(CountBySecond(minutes(30), 20), CountBySecond(minutes(30), 20));
  EXPECT_EQ(StartTimes("a", "b", hours(1), 0).FirstAfter(kBegin) - kBegin,
            nanoseconds(3307806634806));
  EXPECT_EQ(StartTimes("a", "b", hours(1), 50).FirstAfter(kBegin) - kBegin,
            nanoseconds(4276611606488));
}

TEST(StartTimesTest, DependOnBothNames) {
  const auto first = [](const char* host, const char* test) {
    return StartTimes(host, test, hours(1), 0).FirstAfter(kBegin);
  };
  EXPECT_NE(first("a", "b"), first("a", "c"));
  EXPECT_NE(first("a", "b"), first("c", "b"));
  EXPECT_NE(first("ab", "c"), first("a", "bc"));
}

TEST(StartTimesTest, AreApartByTheIntervalAndItsJitter) {
  for (const std::uint32_t jitter : {0U, 1U, 20U, 50U}) {
    const StartTimes times("host", "test", minutes(10), jitter);
    WallTime start = times.FirstAfter(kBegin);
    nanoseconds shortest = hours(1);
    nanoseconds longest{0};
    for (int i = 0; i < 2000; ++i) {
      const WallTime next = times.FirstAfter(start);
      EXPECT_EQ(times.GapAfter(start), next - start);
      shortest = std::min(shortest, next - start);
      longest = std::max(longest, next - start);
      start = next;
    }
    EXPECT_GE(shortest, times.MinGap());
    EXPECT_LE(longest, times.MaxGap());
    EXPECT_EQ(times.MaxGap() - times.MinGap(), nanoseconds(minutes(10)) / 50 * jitter);
    // And the jitter is used.
    EXPECT_GE(longest - shortest, nanoseconds(minutes(10)) / 50 * jitter * 9 / 10);
  }
}

TEST(StartTimesTest, TheNextStartIsAfterNow) {
  const StartTimes times("host", "test", seconds(10), 50);
  for (int i = 0; i < 1000; ++i) {
    const WallTime now = kBegin + std::chrono::milliseconds(i * 37);
    const WallTime start = times.FirstAfter(now);
    EXPECT_GT(start, now);
    EXPECT_LE(start, now + times.MaxGap());
    EXPECT_EQ(times.FirstAfter(start - nanoseconds(1)), start);
  }
}

// Wherever the wall clock was set to.
TEST(StartTimesTest, AGapIsNeverTooShortOrTooLong) {
  const StartTimes times("host", "test", minutes(10), 20);
  for (int i = 0; i < 5000; ++i) {
    const nanoseconds gap = times.GapAfter(kBegin + seconds(i * 7));
    EXPECT_GE(gap, times.MinGap());
    EXPECT_LE(gap, times.MaxGap());
  }
}

}  // namespace
}  // namespace iperf3_exporter
