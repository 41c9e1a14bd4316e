// gzip for responses.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace iperf3_exporter {

// Smaller responses fit one packet without compression.
inline constexpr std::size_t kMinGzipBytes = 1024;

// Whether a value of Accept-Encoding (RFC 9110, 12.5.3) accepts gzip: named, or `*`, with a weight
// above 0. Pure.
[[nodiscard]] bool AcceptsGzip(std::string_view accept_encoding);

// Returns `text` as one gzip member; nothing if that is not shorter. Each thread keeps one
// compressor, because allocating its tables costs more than a page.
[[nodiscard]] std::optional<std::string> Gzip(std::string_view text);

}  // namespace iperf3_exporter
