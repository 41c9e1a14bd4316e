#include "supervisor/schedule/schedule.h"

namespace iperf3_exporter {

void Schedule::Add(Id id, const StartTimes& times, Now now) {
  const TimePoint due = now.monotonic + (times.FirstAfter(now.wall) - now.wall);
  tests_.emplace(id, Test{times, due});
  due_.emplace(due, id);
}

void Schedule::Remove(Id id) {
  const auto test = tests_.find(id);
  due_.erase({test->second.due, id});
  tests_.erase(test);
}

std::optional<TimePoint> Schedule::NextDue() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

std::optional<Schedule::Due> Schedule::PopDue(Now now) {
  if (due_.empty() || due_.begin()->first > now.monotonic) return std::nullopt;
  const Id id = due_.begin()->second;
  Test& test = tests_.at(id);
  const auto delay = now.monotonic - test.due;
  const bool is_missed = delay > kMaxDelay;
  // The delay of one start does not move the next one.
  const TimePoint next = is_missed ? now.monotonic + (test.times.FirstAfter(now.wall) - now.wall)
                                   : test.due + test.times.GapAfter(now.wall - delay);
  due_.erase(due_.begin());
  test.due = next;
  due_.emplace(next, id);
  return Due{id, is_missed};
}

WallTime Schedule::NextStart(Id id, Now now) const {
  return now.wall + (tests_.at(id).due - now.monotonic);
}

}  // namespace iperf3_exporter
