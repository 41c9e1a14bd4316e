// The time by which budgets are measured: that since the start of the machine, which nobody can
// set, and over restarts of the machine the wall clock.
#pragma once

#include <chrono>

namespace iperf3_exporter {

// The same moment on two clocks.
struct ClockReading {
  std::chrono::nanoseconds boot{0};  // since the start of the machine, suspended time included
  std::chrono::nanoseconds wall{0};  // since 1970

  bool operator==(const ClockReading&) const = default;
};

[[nodiscard]] ClockReading ReadClocks();

// How long ago `earlier` was, which may have been read before a restart of the machine. Rather too
// short than too long where the clocks disagree: a wall clock that was set does not end a period.
// Never negative. Pure.
[[nodiscard]] std::chrono::nanoseconds ElapsedSince(const ClockReading& earlier,
                                                    const ClockReading& now);

}  // namespace iperf3_exporter
