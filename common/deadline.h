// Time inside the program: monotonic, passed down as a value. CLOCK_MONOTONIC is
// one clock for all processes of a host, so a Deadline may cross a process
// boundary as nanoseconds.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>

namespace iperf3_exporter {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

[[nodiscard]] inline std::chrono::nanoseconds TimeLeft(Deadline deadline) {
  return std::max(std::chrono::nanoseconds::zero(),
                  std::chrono::nanoseconds(deadline - Clock::now()));
}

// In seconds, as metrics and JSON have it.
[[nodiscard]] inline double ToSeconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// For poll(2) and epoll_wait(2): rounded up, so that a wait never ends early;
// 0 when the deadline has passed.
[[nodiscard]] inline int PollMilliseconds(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(TimeLeft(deadline)).count();
  return static_cast<int>(std::min<long long>(left, INT_MAX));
}

}  // namespace iperf3_exporter
