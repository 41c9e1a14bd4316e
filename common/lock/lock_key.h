// What tests exclude each other by: a scope, and within it a key. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

inline constexpr std::size_t kMaxLockNameBytes = 64;

// One test at a time on this host, per source address and device, or per target and port.
enum class LockScope : std::uint8_t { kHost, kBind, kTarget, kNone };

// As in --lock.scope.
inline constexpr std::array<std::string_view, 4> kLockScopeNames = {"host", "bind", "target",
                                                                    "none"};

[[nodiscard]] constexpr std::string_view Name(LockScope scope) {
  return kLockScopeNames[static_cast<std::size_t>(scope)];
}

// A hash of what the scope says, such as "target 192.0.2.1 5201": 1 to kMaxLockKey. Two texts with
// the same hash only make two tests wait for each other, and among a million keys the probability
// of one such pair is 2 in 10 million.
using LockKey = std::uint64_t;
inline constexpr int kLockKeyBits = 61;
inline constexpr LockKey kMaxLockKey = (LockKey{1} << kLockKeyBits) - 1;

// No lock is needed.
inline constexpr LockKey kNoLock = 0;

// The same in every process, version and architecture.
[[nodiscard]] LockKey MakeLockKey(std::string_view text);

// FNV-1a, 64 bits (draft-eastlake-fnv).
[[nodiscard]] std::uint64_t HashBytes(std::string_view bytes);

}  // namespace iperf3_exporter
