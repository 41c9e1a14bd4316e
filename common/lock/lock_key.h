// Two tests exclude each other if they have the same lock scope and, within it, the same key. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/hash.h"

namespace iperf3_exporter {

inline constexpr std::size_t kMaxLockNameBytes = 64;

// Tests run one at a time: on the whole host (kHost), per source address (kBind), or per target and
// port (kTarget). kNone: any number at once.
enum class LockScope : std::uint8_t { kHost, kBind, kTarget, kNone };

// As in --lock.scope.
inline constexpr std::array<std::string_view, 4> kLockScopeNames = {"host", "bind", "target",
                                                                    "none"};

[[nodiscard]] constexpr std::string_view Name(LockScope scope) {
  return kLockScopeNames[static_cast<std::size_t>(scope)];
}

// A hash of a text such as "target 192.0.2.1 5201": 1 to kMaxLockKey. A collision is harmless: two
// unrelated tests wait for each other. Among a million keys the probability of any collision is 2
// in 10 million.
using LockKey = std::uint64_t;
inline constexpr int kLockKeyBits = 61;  // record_lock.h needs several such ranges in an off_t
inline constexpr LockKey kMaxLockKey = (LockKey{1} << kLockKeyBits) - 1;

// No lock is needed.
inline constexpr LockKey kNoLock = 0;

// The same in every process, version and architecture.
[[nodiscard]] constexpr LockKey MakeLockKey(std::string_view text) {
  return HashBytes(text) % kMaxLockKey + 1;
}

}  // namespace iperf3_exporter
