// How long a probe that found its server busy or refusing pauses before it tries again. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace iperf3_exporter {

// Doubled with each retry, and no further after the fifth.
inline constexpr std::chrono::milliseconds kFirstRetryDelay{200};
inline constexpr std::uint32_t kMostRetryDoublings = 5;

// The pause before retry number `retries_done` + 1. With jitter (0.5 to 1.5 times), so that
// exporters that met at a busy server do not meet again.
[[nodiscard]] std::chrono::nanoseconds RetryDelay(std::uint32_t retries_done,
                                                  std::minstd_rand& random);

}  // namespace iperf3_exporter
