// Record locks (fcntl(2), F_OFD_SETLK) on single bytes of a file. The open file description owns
// them, so the kernel drops them when the description's last descriptor is closed, including by the
// death of a process. A lock may lie beyond the end of the file. Internal to the lock.
#pragma once

#include <fcntl.h>

#include <cstdint>

#include "common/lock/lock_key.h"

namespace iperf3_exporter {

// The meaning of a locked byte. Each role has its own range of 2^kLockKeyBits bytes, and the key is
// the offset in it, so no two pairs of role and key share a byte.
enum class LockRole : std::uint8_t {
  kOwner,      // write lock: may run a test
  kTurnstile,  // write lock: will be the next owner
  kLease,      // read lock: a test may still be running
};
inline constexpr std::int64_t kRoleRange = std::int64_t{1} << kLockKeyBits;

// Below 2^63 - 1, the largest offset.
[[nodiscard]] constexpr std::int64_t OffsetOf(LockRole role, LockKey key) {
  return static_cast<std::int64_t>(role) * kRoleRange + static_cast<std::int64_t>(key);
}

[[nodiscard]] inline struct flock ByteRange(short type, std::int64_t from, std::int64_t bytes) {
  struct flock range = {};  // l_pid must be 0
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = from;
  range.l_len = bytes;
  return range;
}

// A byte of no key. Every exporter that uses the lock has a read lock on it.
inline constexpr std::int64_t kPresenceOffset = OffsetOf(LockRole::kOwner, kNoLock);

// `type`: F_WRLCK (the description must be open for writing) or F_RDLCK.
[[nodiscard]] inline bool TryLock(int fd, std::int64_t offset, short type) {
  struct flock range = ByteRange(type, offset, 1);
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

// Takes all bytes at once. Succeeds only if no other description has any lock on the file.
[[nodiscard]] inline bool TryLockAll(int fd) {
  struct flock range = ByteRange(F_WRLCK, 0, 0);  // no length: to the end
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

inline void Unlock(int fd, std::int64_t offset) {
  struct flock range = ByteRange(F_UNLCK, offset, 1);
  static_cast<void>(::fcntl(fd, F_OFD_SETLK, &range));
}

// Whether another description has any lock there. True if the call fails.
[[nodiscard]] inline bool IsLocked(int fd, std::int64_t offset) {
  struct flock range = ByteRange(F_WRLCK, offset, 1);
  return ::fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

}  // namespace iperf3_exporter
