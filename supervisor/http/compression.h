// gzip for answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace iperf3_exporter {

// Smaller answers fit one packet anyway.
inline constexpr std::size_t kMinGzipBytes = 1024;

// Whether a value of Accept-Encoding (RFC 9110, 12.5.3) takes gzip: named, or `*`, with a weight
// above 0. Pure.
[[nodiscard]] bool AcceptsGzip(std::string_view accept_encoding);

// `text` as one gzip member; nothing if that is not shorter.
[[nodiscard]] std::optional<std::string> Gzip(std::string_view text);

}  // namespace iperf3_exporter
