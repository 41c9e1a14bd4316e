#include "common/lock/lock_key.h"

namespace iperf3_exporter {

LockKey MakeLockKey(std::string_view text) { return HashBytes(text) % kMaxLockKey + 1; }

std::uint64_t HashBytes(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211U;
  }
  return hash;
}

}  // namespace iperf3_exporter
