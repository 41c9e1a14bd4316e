// Settings of probes by the operator.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace iperf3_exporter {

// --probe.failure-values: what the page of a failed probe contains.
enum class FailureValues : std::uint8_t {
  kZero,    // the Go exporter's names, with 0
  kAbsent,  // only iperf3_up and the reason
};
inline constexpr std::array<std::string_view, 2> kFailureValuesNames = {"zero", "absent"};

// --probe.labels: the labels of the metrics of a probe.
enum class ProbeLabels : std::uint8_t {
  kPlain,  // the Go exporter's: target and port
  kFork,   // those of its fork with a lock: `direction` too, on every sample
};
inline constexpr std::array<std::string_view, 2> kProbeLabelsNames = {"plain", "fork"};

struct ProbePageStyle {
  FailureValues failure_values = FailureValues::kZero;
  ProbeLabels labels = ProbeLabels::kPlain;
};

// The maximum of --probe.retries and of `retries` of a module.
inline constexpr std::uint32_t kMaxProbeRetries = 100;

// --probe.max-period, --probe.max-parallel, --probe.max-bitrate.
struct ProbeLimits {
  std::chrono::seconds max_period{3600};
  std::uint32_t max_parallel = 128;
  // For all streams together, in both directions. If set, it also limits a request without a
  // bitrate, because TCP has no limit by default.
  std::optional<std::uint64_t> max_bitrate_bits_per_second;
};

// --probe.default-timeout, --probe.timeout-offset, --iperf3.timeout; `limit` may be less in a
// module.
struct ProbeTimes {
  std::chrono::nanoseconds default_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds offset = std::chrono::milliseconds(500);
  std::optional<std::chrono::nanoseconds> limit;
};

}  // namespace iperf3_exporter
