#include "supervisor/schedule/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Two clocks that the test moves.
class ScheduleTest : public testing::Test {
 protected:
  void Add(Schedule::Id id, nanoseconds every, std::uint32_t jitter_percent) {
    times_.emplace(id, StartTimes("host", std::to_string(id), every, jitter_percent));
    schedule_.Add(id, times_.at(id), now_);
  }

  void Advance(nanoseconds duration) {
    now_.monotonic += duration;
    now_.wall += duration;
  }

  // Waits for the next start, which the loop notices a little late, and takes all that are due.
  void RunOne() {
    const TimePoint due = *schedule_.NextDue();
    Advance(due - now_.monotonic + kDelay);
    while (const auto start = schedule_.PopDue(now_)) {
      ASSERT_FALSE(start->is_missed);
      starts_[start->id].push_back(due);
    }
  }

  void ExpectGaps(Schedule::Id id) {
    const std::vector<TimePoint>& starts = starts_[id];
    for (std::size_t i = 1; i < starts.size(); ++i) {
      EXPECT_GE(starts[i] - starts[i - 1], times_.at(id).MinGap() - kDelay);
      EXPECT_LE(starts[i] - starts[i - 1], times_.at(id).MaxGap() + kDelay);
    }
  }

  static constexpr milliseconds kDelay{3};
  Now now_{TimePoint(hours(5)), WallTime(seconds(1'800'000'000))};
  Schedule schedule_;
  std::map<Schedule::Id, StartTimes> times_;
  std::map<Schedule::Id, std::vector<TimePoint>> starts_;
};

TEST_F(ScheduleTest, IsEmptyAtFirst) {
  EXPECT_FALSE(schedule_.NextDue());
  EXPECT_FALSE(schedule_.PopDue(now_));
}

TEST_F(ScheduleTest, NothingIsDueBeforeItsTime) {
  Add(1, minutes(10), 0);
  const TimePoint due = *schedule_.NextDue();
  EXPECT_EQ(due - now_.monotonic, times_.at(1).FirstAfter(now_.wall) - now_.wall);
  EXPECT_EQ(schedule_.NextStart(1, now_), times_.at(1).FirstAfter(now_.wall));
  Advance(due - now_.monotonic - nanoseconds(1));
  EXPECT_FALSE(schedule_.PopDue(now_));
  Advance(nanoseconds(1));
  const auto start = schedule_.PopDue(now_);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->id, 1U);
  EXPECT_FALSE(start->is_missed);
  EXPECT_FALSE(schedule_.PopDue(now_));
}

// A delay of each start does not add up.
TEST_F(ScheduleTest, FollowsTheWallClock) {
  for (const std::uint32_t jitter : {0U, 20U}) {
    schedule_ = {};
    times_.clear();
    Add(1, minutes(10), jitter);
    WallTime expected = times_.at(1).FirstAfter(now_.wall);
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(schedule_.NextStart(1, now_), expected);
      RunOne();
      expected = times_.at(1).FirstAfter(expected);
    }
  }
}

TEST_F(ScheduleTest, TheEarliestIsFirst) {
  for (Schedule::Id id = 1; id <= 50; ++id) Add(id, minutes(10), 0);
  TimePoint last;
  for (int i = 0; i < 500; ++i) {
    EXPECT_GE(*schedule_.NextDue(), last);
    last = *schedule_.NextDue();
    RunOne();
  }
  for (const auto& [id, starts] : starts_) EXPECT_GE(starts.size(), 10U);
}

TEST_F(ScheduleTest, ARemovedTestIsNeverDue) {
  Add(1, minutes(10), 0);
  Add(2, minutes(10), 0);
  schedule_.Remove(1);
  for (int i = 0; i < 10; ++i) RunOne();
  EXPECT_TRUE(starts_[1].empty());
  EXPECT_EQ(starts_[2].size(), 10U);
  schedule_.Remove(2);
  EXPECT_FALSE(schedule_.NextDue());
}

// The steps come at every phase of the interval.
TEST_F(ScheduleTest, AClockThatIsSetCausesNoBurstAndNoPause) {
  for (const nanoseconds step :
       {nanoseconds(hours(1)), nanoseconds(-hours(1)), nanoseconds(seconds(7)),
        nanoseconds(-seconds(7)), nanoseconds(milliseconds(-1)), nanoseconds(hours(24 * 400))}) {
    for (const std::uint32_t jitter : {0U, 10U, 50U}) {
      schedule_ = {};
      times_.clear();
      starts_.clear();
      for (Schedule::Id id = 1; id <= 5; ++id) Add(id, seconds(1000 + id), jitter);
      for (int i = 0; i < 200; ++i) {
        Advance(std::min<nanoseconds>(seconds(i), *schedule_.NextDue() - now_.monotonic));
        if (i % 20 == 0) now_.wall += step;
        RunOne();
      }
      for (const auto& [id, times] : times_) {
        ExpectGaps(id);
        EXPECT_GE(starts_[id].size(), 35U);
      }
    }
  }
}

// With a jitter, the starts soon have their place in the interval again.
TEST_F(ScheduleTest, FindsItsPlaceAfterAStep) {
  Add(1, seconds(1000), 20);
  RunOne();
  now_.wall += seconds(345);
  for (int i = 0; i < 10; ++i) RunOne();
  EXPECT_EQ(schedule_.NextStart(1, now_), times_.at(1).FirstAfter(now_.wall));
}

TEST_F(ScheduleTest, AMissedStartIsNotMadeUpFor) {
  Add(1, minutes(10), 0);
  RunOne();
  Advance(hours(3));  // the program was stopped
  const auto late = schedule_.PopDue(now_);
  ASSERT_TRUE(late);
  EXPECT_TRUE(late->is_missed);
  EXPECT_FALSE(schedule_.PopDue(now_));
  EXPECT_EQ(schedule_.NextStart(1, now_), times_.at(1).FirstAfter(now_.wall));
}

TEST_F(ScheduleTest, ASmallDelayIsNoMiss) {
  Add(1, minutes(10), 0);
  Advance(*schedule_.NextDue() - now_.monotonic + Schedule::kMaxDelay);
  EXPECT_FALSE(schedule_.PopDue(now_)->is_missed);
  Advance(*schedule_.NextDue() - now_.monotonic + Schedule::kMaxDelay + nanoseconds(1));
  EXPECT_TRUE(schedule_.PopDue(now_)->is_missed);
}

}  // namespace
}  // namespace iperf3_exporter
