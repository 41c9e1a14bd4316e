// When one of the exporter's own tests starts, by the wall clock: at multiples of `every` since the
// Unix epoch, plus a phase of the test and a jitter of each start. Both are hashes of the names of
// host and test: they spread the tests of all hosts evenly, and are the same after a restart. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "supervisor/config/time_window.h"

namespace iperf3_exporter {

class StartTimes {
 public:
  // `every` is at least a millisecond. Each start is up to `jitter_percent` of `every` later than
  // without jitter, so the time between two of them is `every` plus or minus that.
  StartTimes(std::string_view host, std::string_view test, std::chrono::nanoseconds every,
             std::uint32_t jitter_percent);

  [[nodiscard]] WallTime FirstAfter(WallTime time) const;

  // The time from a start at `time` to the next one: to the start whose distance is the nearest to
  // `every`. If the wall clock was set, no start is about `every` away; then the distance is
  // MinGap or MaxGap.
  [[nodiscard]] std::chrono::nanoseconds GapAfter(WallTime time) const;

  [[nodiscard]] std::chrono::nanoseconds MinGap() const { return every_ - jitter_; }
  [[nodiscard]] std::chrono::nanoseconds MaxGap() const { return every_ + jitter_; }

 private:
  [[nodiscard]] WallTime At(std::int64_t ordinal) const;
  // Of the last start before `time` if there were no jitter.
  [[nodiscard]] std::int64_t OrdinalBefore(WallTime time) const;

  std::chrono::nanoseconds every_;
  std::chrono::nanoseconds jitter_;
  std::uint64_t seed_;
  std::chrono::nanoseconds phase_;  // less than every_
};

}  // namespace iperf3_exporter
