// The clocks by which the periods of budgets are measured: the time since boot, which cannot be
// set, and across reboots the wall clock.
#pragma once

#include <chrono>

namespace iperf3_exporter {

// The same moment on two clocks.
struct ClockReading {
  std::chrono::nanoseconds boot{0};  // since boot, suspended time included
  std::chrono::nanoseconds wall{0};  // since the Unix epoch

  bool operator==(const ClockReading&) const = default;
};

[[nodiscard]] ClockReading ReadClocks();

// The time from `earlier`, which may have been read before a reboot, to `now`. Within one boot, the
// shorter time of the two clocks, so that setting the wall clock does not end a period. Across a
// reboot, the time of the wall clock, but at least the time since boot. Never negative. Pure.
[[nodiscard]] std::chrono::nanoseconds ElapsedSince(const ClockReading& earlier,
                                                    const ClockReading& now);

}  // namespace iperf3_exporter
