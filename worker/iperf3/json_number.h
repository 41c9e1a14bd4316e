// Numbers as JSON has them, read as doubles.
#pragma once

#include <limits>
#include <optional>
#include <string_view>

namespace iperf3_exporter {

// A number that the report did not give, or gave as null or anything but a number.
inline constexpr double kNotGiven = std::numeric_limits<double>::quiet_NaN();

// The value of `token` if it is exactly one JSON number (RFC 8259, section 6). Beyond what a
// double holds: an infinity of its sign.
[[nodiscard]] std::optional<double> ParseJsonNumber(std::string_view token);

// The same for what is known to be a JSON number.
[[nodiscard]] double ConvertJsonNumber(std::string_view number);

}  // namespace iperf3_exporter
