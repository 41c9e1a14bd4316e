// Untrusted text, escaped so that it can be shown on one line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace iperf3_exporter {

[[nodiscard]] bool IsUtf8(std::string_view text);

// Whether `text` is UTF-8 without control characters (C0, DEL and C1).
[[nodiscard]] bool IsPlainText(std::string_view text);

// `text` in double quotes with JSON's escapes: printable UTF-8 stays, control characters become
// \n, \u001b and so on, each byte that is not UTF-8 becomes \ufffd. A text longer than `max_bytes`
// is cut and ends with "…".
[[nodiscard]] std::string QuoteText(std::string_view text, std::size_t max_bytes);

}  // namespace iperf3_exporter
