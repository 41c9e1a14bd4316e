#include "supervisor/budget/boot_clock.h"

#include <time.h>

#include <algorithm>

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

nanoseconds Read(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

}  // namespace

ClockReading ReadClocks() { return {.boot = Read(CLOCK_BOOTTIME), .wall = Read(CLOCK_REALTIME)}; }

nanoseconds ElapsedSince(const ClockReading& earlier, const ClockReading& now) {
  const nanoseconds wall = std::max(nanoseconds::zero(), now.wall - earlier.wall);
  // The machine has rebooted since: at least the time since boot has passed.
  if (now.boot < earlier.boot) return std::max(wall, now.boot);
  return std::min(wall, now.boot - earlier.boot);
}

}  // namespace iperf3_exporter
