// Wall-clock time as text for people and log collectors.
#pragma once

#include <chrono>
#include <string>

namespace iperf3_exporter {

// RFC 3339 in UTC with milliseconds, rounded down: "2024-02-29T23:59:59.007Z".
[[nodiscard]] std::string FormatRfc3339(std::chrono::system_clock::time_point when);

}  // namespace iperf3_exporter
