#include "supervisor/http/compression.h"

#include <libdeflate.h>

#include <memory>

#include "common/deleter.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

// "q=0" or "q=0.000".
bool IsRefused(std::string_view parameters) {
  const auto q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view weight = Trim(parameters.substr(q + 2));
  return !weight.empty() && weight.find_first_not_of("0.") == std::string_view::npos;
}

// Metrics shrink to a fifth at any level; the first takes half the time of the default.
constexpr int kLevel = 1;

}  // namespace

bool AcceptsGzip(std::string_view accept_encoding) {
  std::optional<bool> named;
  bool any = false;
  while (!accept_encoding.empty()) {
    std::string_view item = TakeUntil(',', accept_encoding);
    const std::string_view coding = TakeUntil(';', item);
    const bool wanted = !IsRefused(item);
    if (coding == "gzip" || coding == "x-gzip") named = wanted;
    if (coding == "*") any = wanted;
  }
  return named.value_or(any);
}

std::optional<std::string> Gzip(std::string_view text) {
  thread_local const std::unique_ptr<libdeflate_compressor, Deleter<libdeflate_free_compressor>>
      compressor(libdeflate_alloc_compressor(kLevel));
  if (!compressor) return std::nullopt;
  // Not initialized: of a large page only what is used becomes resident.
  const auto buffer = std::make_unique_for_overwrite<char[]>(text.size());
  // libdeflate returns 0 if the result does not fit.
  const std::size_t packed_bytes = libdeflate_gzip_compress(compressor.get(), text.data(),
                                                            text.size(), buffer.get(), text.size());
  if (packed_bytes == 0) return std::nullopt;
  return std::string(buffer.get(), packed_bytes);
}

}  // namespace iperf3_exporter
