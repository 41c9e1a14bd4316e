// Which of the exporter's own tests is due next. Each start is planned on the monotonic clock when
// the previous one is due, so setting the wall clock causes neither a burst nor a pause: the time
// between two starts of a test is always from StartTimes::MinGap to MaxGap. A start that was
// missed, because the process was stopped, is left out. Pure: the caller passes the time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/deadline.h"
#include "supervisor/schedule/start_times.h"

namespace iperf3_exporter {

// The same moment on two clocks.
struct Now {
  TimePoint monotonic;
  WallTime wall;
};

class Schedule {
 public:
  using Id = std::uint64_t;

  // A start that is later than this was missed.
  static constexpr std::chrono::seconds kMaxDelay{2};

  // `id` must be new.
  void Add(Id id, const StartTimes& times, Now now);
  void Remove(Id id);

  // When to call PopDue; nullopt: no test.
  [[nodiscard]] std::optional<TimePoint> NextDue() const;

  struct Due {
    Id id;
    bool is_missed;
  };
  // Takes one start that is due and plans the next one of that test; nullopt: none is due.
  [[nodiscard]] std::optional<Due> PopDue(Now now);

  // The planned start of that test.
  [[nodiscard]] WallTime NextStart(Id id, Now now) const;

 private:
  struct Test {
    StartTimes times;
    TimePoint due;
  };

  std::map<Id, Test> tests_;
  std::set<std::pair<TimePoint, Id>> due_;
};

}  // namespace iperf3_exporter
