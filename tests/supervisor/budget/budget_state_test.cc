#include "supervisor/budget/budget_state.h"

#include <gtest/gtest.h>

#include <random>

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr hours kPer{24};

// `passed` after the beginning of the test.
ClockReading At(nanoseconds passed) {
  return {.boot = hours(1000) + passed, .wall = hours(24 * 365 * 56) + passed};
}

TEST(BudgetStateTest, WhatWasUsedCountsForThePeriod) {
  BudgetState state(At(seconds(0)));
  EXPECT_EQ(state.used_bytes(), 0U);
  state.Add(100, kPer);
  state.Advance(At(hours(12)), kPer);
  state.Add(20, kPer);
  EXPECT_EQ(state.used_bytes(), 120U);
  state.Advance(At(kPer - seconds(1)), kPer);
  EXPECT_EQ(state.used_bytes(), 120U);
  state.Advance(At(kPer), kPer);
  EXPECT_EQ(state.used_bytes(), 20U);
  state.Advance(At(kPer + hours(12)), kPer);
  EXPECT_EQ(state.used_bytes(), 0U);
}

TEST(BudgetStateTest, ReplacesAReservation) {
  BudgetState state(At(seconds(0)));
  state.Add(7, kPer);
  const ClockReading added = state.now();
  state.Add(100, kPer);
  state.Advance(At(hours(1)), kPer);
  state.Remove(100, added);
  state.Add(60, kPer);
  EXPECT_EQ(state.used_bytes(), 67U);
  // It was dropped in the meantime.
  state.Advance(At(kPer), kPer);
  state.Remove(100, added);
  EXPECT_EQ(state.used_bytes(), 60U);
}

// A random history against the definition: never fewer bytes than were used in the period, and
// never more than in a little longer one.
TEST(BudgetStateTest, CountsARollingPeriod) {
  std::minstd_rand random(7);
  BudgetState state(At(seconds(0)));
  std::vector<std::pair<nanoseconds, std::uint64_t>> history;
  nanoseconds now{0};
  const auto used_within = [&](nanoseconds period) {
    std::uint64_t bytes = 0;
    for (const auto& [time, used] : history) bytes += now - time < period ? used : 0;
    return bytes;
  };
  for (int i = 0; i < 3000; ++i) {
    now += minutes(random() % 30);
    state.Advance(At(now), kPer);
    if (i % 3 == 0) state = BudgetState::Parse(state.Format("t"), "t", At(now)).value();
    ASSERT_GE(state.used_bytes(), used_within(kPer)) << i;
    ASSERT_LE(state.used_bytes(), used_within(kPer + nanoseconds(kPer) / BudgetState::kMaxEntries))
        << i;
    ASSERT_LE(state.Format("t").size(), BudgetState::kMaxTextBytes / 4);
    const std::uint64_t bytes = random() % 1000;
    state.Add(bytes, kPer);
    history.emplace_back(now, bytes);
  }
}

TEST(BudgetStateTest, KeepsFewEntries) {
  BudgetState state(At(seconds(0)));
  for (int i = 0; i < 100'000; ++i) {
    state.Advance(At(i * seconds(10)), kPer);
    state.Add(1, kPer);
  }
  const std::string text = state.Format("t");
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 5 + 66);
}

TEST(BudgetStateTest, SurvivesARestart) {
  BudgetState state(At(seconds(0)));
  state.Add(100, kPer);
  state.Advance(At(hours(10)), kPer);
  state.Add(20, kPer);
  const std::string text = state.Format("uplink");
  const auto after = [&](const ClockReading& now) {
    auto again = BudgetState::Parse(text, "uplink", now).value();
    again.Advance(now, kPer);
    return again.used_bytes();
  };
  EXPECT_EQ(after(At(hours(10))), 120U);
  EXPECT_EQ(after(At(hours(24) - seconds(1))), 120U);
  EXPECT_EQ(after(At(hours(24))), 20U);
  EXPECT_EQ(after(At(hours(34))), 0U);
  // The wall clock was set by an hour or by a year, or the machine was restarted.
  ClockReading now = At(hours(23));
  for (const auto step : {hours(-10'000), hours(-1), hours(1), hours(10'000)}) {
    EXPECT_EQ(after({now.boot, now.wall + step}), 120U) << step.count();
  }
  EXPECT_EQ(after({.boot = minutes(1), .wall = now.wall}), 120U);
  EXPECT_EQ(after({.boot = minutes(1), .wall = At(hours(25)).wall}), 20U);
  EXPECT_EQ(after({.boot = minutes(1), .wall = hours(0)}), 120U);
  EXPECT_EQ(after({.boot = hours(20), .wall = hours(0)}), 20U);
}

TEST(BudgetStateTest, AClockThatIsSetWhileTheExporterRunsChangesNothing) {
  BudgetState state(At(seconds(0)));
  state.Add(100, kPer);
  for (const auto step : {hours(-1), hours(1), hours(100'000), hours(-100'000)}) {
    ClockReading now = At(hours(1));
    now.wall += step;
    state.Advance(now, kPer);
    EXPECT_EQ(state.used_bytes(), 100U);
  }
  // A reading from before, too.
  state.Advance(At(seconds(0)), kPer);
  EXPECT_EQ(state.now().boot, At(hours(1)).boot);
}

std::string SampleText() {
  BudgetState state(At(seconds(0)));
  state.Add(1'234'567, kPer);
  state.Advance(At(hours(1)), kPer);
  state.Add(20, kPer);
  return state.Format("uplink");
}

TEST(BudgetStateTest, IsReadableForPeople) {
  EXPECT_EQ(SampleText(),
            "iperf3_exporter budget 1\ntest uplink\nboot 3603600000000000\nwall "
            "1766019600000000000\nused 3600000000000 3600000000000 1234567\nused 0 0 20\nend "
            "bd0a9f75a42d10ef\n");
}

TEST(BudgetStateTest, RefusesWhateverItDidNotWrite) {
  const std::string text = SampleText();
  const auto error = [](const std::string& bad) {
    const auto state = BudgetState::Parse(bad, "uplink", At(seconds(0)));
    return state ? std::string() : state.error().message;
  };
  EXPECT_EQ(error(text), "");
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_NE(error(text.substr(0, size)), "") << size;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const int change : {1, 0x10, 0x80}) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ change);
      EXPECT_NE(error(changed), "") << i;
    }
  }
  EXPECT_EQ(error(""), "not the state of a budget, or of another version");
  EXPECT_EQ(error("iperf3_exporter budget 2\nend x\n"),
            "not the state of a budget, or of another version");
  EXPECT_EQ(error(text.substr(0, text.size() - 1)), "incomplete, or its checksum is wrong");
  EXPECT_EQ(error(text.substr(0, 40)), "incomplete");
  EXPECT_EQ(error(text + "x"), "incomplete, or its checksum is wrong");
  EXPECT_EQ(error(std::string(100'000, '\0')), "not the state of a budget, or of another version");
  EXPECT_EQ(BudgetState::Parse(text, "other", At(seconds(0))).error().message,
            "the state of another test");
}

TEST(BudgetStateTest, NumbersDoNotOverflow) {
  BudgetState state(At(seconds(0)));
  state.Add(UINT64_MAX / 2, kPer);
  state.Add(UINT64_MAX / 2, kPer);
  EXPECT_EQ(state.used_bytes(), std::uint64_t{1} << 62);
  state.Advance(At(hours(1)), kPer);
  state.Add(UINT64_MAX / 2, kPer);
  EXPECT_EQ(state.used_bytes(), std::uint64_t{1} << 62);
  EXPECT_TRUE(BudgetState::Parse(state.Format("t"), "t", At(seconds(0))));
  state.Remove(UINT64_MAX, state.now());
  EXPECT_EQ(state.used_bytes(), std::uint64_t{1} << 62);
}

}  // namespace
}  // namespace iperf3_exporter
