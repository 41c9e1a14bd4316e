// The back-off of a probe whose server was busy or refused the connection. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace iperf3_exporter {

// Doubled with each retry, up to the fifth.
inline constexpr std::chrono::milliseconds kFirstRetryDelay{200};
inline constexpr std::uint32_t kMaxRetryDoublings = 5;

// The pause before retry number `retries_done` + 1. With jitter (0.5 to 1.5 times), so that
// exporters that collided at a busy server do not collide again.
[[nodiscard]] std::chrono::nanoseconds RetryDelay(std::uint32_t retries_done,
                                                  std::minstd_rand& random);

}  // namespace iperf3_exporter
