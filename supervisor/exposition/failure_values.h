// What a failed probe's page holds (--probe.failure-values).
#pragma once

#include <cstdint>

namespace iperf3_exporter {

enum class FailureValues : std::uint8_t {
  kZero,    // the Go exporter's names, with 0
  kAbsent,  // iperf3_up and the reason alone
};

}  // namespace iperf3_exporter
