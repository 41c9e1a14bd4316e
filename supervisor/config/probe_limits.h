// Bounds and times of a probe that the operator sets.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace iperf3_exporter {

// --probe.max-period, --probe.max-parallel, --probe.max-bitrate.
struct ProbeLimits {
  std::chrono::seconds max_period{3600};
  std::uint32_t max_parallel = 128;
  // Of all streams together, in both directions. With it set, a request without a bitrate gets what
  // fits, because TCP's own default is no limit.
  std::optional<std::uint64_t> max_bitrate_bits_per_second;
};

// --probe.default-timeout, --probe.timeout-offset, --iperf3.timeout.
struct ProbeTimes {
  std::chrono::nanoseconds default_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds offset = std::chrono::milliseconds(500);
  std::optional<std::chrono::nanoseconds> limit;
};

}  // namespace iperf3_exporter
