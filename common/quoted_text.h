// Untrusted text, escaped so that it can be shown on one line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace iperf3_exporter {

// Length of the well-formed UTF-8 sequence (RFC 3629) that `text` begins with; 0 when it does
// not begin with one, or is empty.
[[nodiscard]] std::size_t Utf8SequenceBytes(std::string_view text);

[[nodiscard]] bool IsUtf8(std::string_view text);

// `text` in double quotes with JSON's escapes: printable UTF-8 stays, control characters become
// \n, \u001b and so on, each byte that is not UTF-8 becomes \ufffd. Of a text longer than
// `max_bytes` only so much is shown, and "…".
[[nodiscard]] std::string QuoteText(std::string_view text, std::size_t max_bytes);

}  // namespace iperf3_exporter
