// Options of a test as text: a parameter of a request, or a scalar of a configuration file. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/iperf3/option_table.h"

namespace iperf3_exporter {

// Sets the option to `text`; an empty text leaves the default. The options that precede this one in
// the table must have been parsed. `max` is a further upper bound of a number. The error says what
// is expected: "must be an integer from 1 to 128".
[[nodiscard]] Status ParseOption(const TestOption& option, std::string_view text, TestOptions& test,
                                 std::uint64_t max = UINT64_MAX);

// An integer within the bounds, or the error that names them.
[[nodiscard]] Result<std::uint64_t> ParseBoundedInteger(std::string_view text,
                                                        const Bounds& bounds);

struct Bitrate {
  std::uint64_t bits_per_second = 0;  // 0: unlimited
  std::optional<std::uint64_t> burst_packets;
};

// iperf3's `#[KMGT][/#]`: K is 1000, the letter in either case, decimals allowed. Absent when the
// text has another form or a number is out of range.
[[nodiscard]] std::optional<Bitrate> ParseBitrate(std::string_view text);

// `#[KMGT]` with the largest unit that divides it: "2M", "1000".
[[nodiscard]] std::string FormatByteCount(std::uint64_t bytes);

// As ParseBitrate reads it, exactly: "12.5M", "33333.333K", "1001".
[[nodiscard]] std::string FormatBitrate(std::uint64_t bits_per_second);

}  // namespace iperf3_exporter
