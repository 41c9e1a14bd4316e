#include "supervisor/http/compression.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

namespace iperf3_exporter {
namespace {

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "q=0", "q=0.000"; anything else that a client might write counts as wanted.
bool IsRefused(std::string_view parameters) {
  const auto q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view weight = Trim(parameters.substr(q + 2));
  return !weight.empty() && weight.find_first_not_of("0.") == std::string_view::npos;
}

struct Deflater {
  Deflater() {
    constexpr int kWindowWithGzipHeader = 15 + 16;
    constexpr int kMemoryLevel = 8;
    // Metrics shrink to a tenth at any level; the first costs a third of the default's time.
    ready = deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kWindowWithGzipHeader, kMemoryLevel,
                         Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~Deflater() {
    if (ready) deflateEnd(&stream);
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  z_stream stream{};
  bool ready = false;
};

}  // namespace

bool AcceptsGzip(std::string_view accept_encoding) {
  std::optional<bool> named;
  bool any = false;
  while (!accept_encoding.empty()) {
    const auto comma = accept_encoding.find(',');
    const std::string_view item = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(comma == std::string_view::npos ? item.size() : comma + 1);
    const auto semicolon = item.find(';');
    const std::string_view coding = Trim(item.substr(0, semicolon));
    const bool wanted =
        semicolon == std::string_view::npos || !IsRefused(item.substr(semicolon + 1));
    if (coding == "gzip" || coding == "x-gzip") named = wanted;
    if (coding == "*") any = wanted;
  }
  return named.value_or(any);
}

std::optional<std::string> Gzip(std::string_view text) {
  Deflater deflater;
  if (!deflater.ready || text.size() > UINT32_MAX) return std::nullopt;
  // No room for more than was put in: then it does not pay.
  std::string packed(text.size(), '\0');
  z_stream& stream = deflater.stream;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return std::nullopt;
  packed.resize(packed.size() - stream.avail_out);
  packed.shrink_to_fit();
  return packed;
}

}  // namespace iperf3_exporter
