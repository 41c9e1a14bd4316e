// What a failed probe's page holds (--probe.failure-values).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

enum class FailureValues : std::uint8_t {
  kZero,    // the Go exporter's names, with 0
  kAbsent,  // iperf3_up and the reason alone
};

inline constexpr std::array<std::string_view, 2> kFailureValuesNames = {"zero", "absent"};

}  // namespace iperf3_exporter
