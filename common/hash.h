// A hash that is the same in every process, version and architecture. Not against an attacker.
#pragma once

#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

// FNV-1a, 64 bits (draft-eastlake-fnv).
[[nodiscard]] constexpr std::uint64_t HashBytes(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211U;
  }
  return hash;
}

}  // namespace iperf3_exporter
