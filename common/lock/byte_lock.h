// Write and read locks on single bytes of a file, owned by the open file description
// (fcntl(2), F_OFD_SETLK): the kernel drops them with its last descriptor, so also when its
// process dies. Internal to the lock.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <cstdint>
#include <optional>

namespace iperf3_exporter {

// The bytes of a mutex's file that mean something; most lie behind its end, which is allowed.
inline constexpr std::int64_t kGateByte = 0;
inline constexpr std::int64_t kWitnessByte = 1;
inline constexpr std::int64_t kTenantByte = 2;
// Plus a time in nanoseconds (63 bits up to the year 2262), so kept below 2^63 by a mask.
[[nodiscard]] constexpr std::int64_t StampByte(std::int64_t since_ns) {
  return (std::int64_t{1} << 61) | (since_ns & ((std::int64_t{1} << 61) - 1));
}

enum class ByteLock : std::uint8_t { kHad, kBusy, kBroken };

namespace internal {
[[nodiscard]] inline struct flock OneByte(short type, std::int64_t byte) {
  struct flock lock = {};  // l_pid must be 0
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}
}  // namespace internal

// `type` is F_WRLCK (needs a description open for writing) or F_RDLCK.
[[nodiscard]] inline ByteLock TryLockByte(int fd, std::int64_t byte, short type) {
  struct flock lock = internal::OneByte(type, byte);
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return ByteLock::kHad;
  return errno == EAGAIN || errno == EACCES || errno == EINTR ? ByteLock::kBusy : ByteLock::kBroken;
}

inline void UnlockByte(int fd, std::int64_t byte) {
  struct flock lock = internal::OneByte(F_UNLCK, byte);
  static_cast<void>(::fcntl(fd, F_OFD_SETLK, &lock));
}

// Whether another description has any lock there; takes none. kHad: it is free.
[[nodiscard]] inline ByteLock ProbeByte(int fd, std::int64_t byte) {
  struct flock lock = internal::OneByte(F_WRLCK, byte);
  if (::fcntl(fd, F_OFD_GETLK, &lock) != 0) return ByteLock::kBroken;
  return lock.l_type == F_UNLCK ? ByteLock::kHad : ByteLock::kBusy;
}

}  // namespace iperf3_exporter
