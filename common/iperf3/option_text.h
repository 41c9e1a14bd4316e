// Options of a test as text: a parameter of a request, or a scalar of a configuration file. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/error.h"
#include "common/iperf3/option_table.h"

namespace iperf3_exporter {

// Sets the option that `text` gives; an empty text leaves the default. The options that stand
// before this one in the table must have been read. A number may not be above `max` either. The
// error says what is expected: "must be an integer from 1 to 128".
[[nodiscard]] Status ParseOption(const TestOption& option, std::string_view text, TestOptions& test,
                                 std::uint64_t max = UINT64_MAX);

// Go's words for a boolean; empty means false.
[[nodiscard]] Result<bool> ParseBool(std::string_view text);

// An integer within the bounds, or the error that names them.
[[nodiscard]] Result<std::uint64_t> ParseBoundedInteger(std::string_view text,
                                                        const Bounds& bounds);

}  // namespace iperf3_exporter
