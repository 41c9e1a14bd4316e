// The two text forms of metrics, and which one a client asked for.
#pragma once

#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

enum class ExpositionFormat : std::uint8_t {
  kText,         // Prometheus text format 0.0.4
  kOpenMetrics,  // OpenMetrics 1.0
};

// Evaluates an `Accept` header (RFC 9110, 12.5.1, with q-values; empty: absent). Returns
// OpenMetrics only if it is named and preferred at least as much as the text format. Pure.
[[nodiscard]] ExpositionFormat NegotiateFormat(std::string_view accept);

[[nodiscard]] std::string_view ContentType(ExpositionFormat format);

}  // namespace iperf3_exporter
