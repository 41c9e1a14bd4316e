// Monotonic deadlines, passed down as values. All processes of a host share CLOCK_MONOTONIC, so a
// Deadline may be sent to another process as nanoseconds.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>

namespace iperf3_exporter {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Deadline = TimePoint;

[[nodiscard]] inline std::chrono::nanoseconds TimeLeft(Deadline deadline) {
  return std::max(std::chrono::nanoseconds::zero(),
                  std::chrono::nanoseconds(deadline - Clock::now()));
}

// In seconds, for metrics and JSON.
[[nodiscard]] inline double ToSeconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// The wall clock, as Unix time.
[[nodiscard]] inline double UnixSeconds() {
  return ToSeconds(std::chrono::system_clock::now().time_since_epoch());
}

// The timeout for poll(2) and epoll_wait(2): rounded up so that a wait never ends early, 0 after
// the deadline.
[[nodiscard]] inline int PollMilliseconds(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(TimeLeft(deadline)).count();
  return static_cast<int>(std::min<long long>(left, INT_MAX));
}

}  // namespace iperf3_exporter
