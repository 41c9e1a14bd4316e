// Durations as Go's time package reads and prints them.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/error.h"

namespace iperf3_exporter {

// Like time.ParseDuration: an optional sign, then one or more decimal numbers, each with a unit,
// such as `300ms`, `1.5s`, `1m30s`; units ns, us, µs (either code point), ms, s, m, h. `0` alone
// needs no unit. Anything else is an error, as is a number of nanoseconds that does not fit into a
// signed 64-bit integer. Pure.
[[nodiscard]] Result<std::chrono::nanoseconds> ParseGoDuration(std::string_view text);

// Duration.String: "1m30s", "1.5s", "300ms", "0s". Pure.
[[nodiscard]] std::string FormatGoDuration(std::chrono::nanoseconds duration);

}  // namespace iperf3_exporter
