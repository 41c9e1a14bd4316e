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
  static const std::unique_ptr<libdeflate_compressor, Deleter<libdeflate_free_compressor>>
      compressor(libdeflate_alloc_compressor(kLevel));
  if (!compressor) return std::nullopt;
  // libdeflate returns 0 if the result does not fit.
  std::string packed(text.size(), '\0');
  packed.resize(libdeflate_gzip_compress(compressor.get(), text.data(), text.size(), packed.data(),
                                         packed.size()));
  if (packed.empty()) return std::nullopt;
  return packed;
}

}  // namespace iperf3_exporter
