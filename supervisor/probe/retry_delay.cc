#include "supervisor/probe/retry_delay.h"

#include <algorithm>

namespace iperf3_exporter {

std::chrono::nanoseconds RetryDelay(std::uint32_t retries_done, std::minstd_rand& random) {
  using std::chrono::nanoseconds;
  const nanoseconds base = kFirstRetryDelay * (1U << std::min(retries_done, kMaxRetryDoublings));
  std::uniform_real_distribution<double> jitter(0.5, 1.5);
  return nanoseconds(
      static_cast<nanoseconds::rep>(static_cast<double>(base.count()) * jitter(random)));
}

}  // namespace iperf3_exporter
