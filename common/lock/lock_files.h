// The lock's files in /dev/shm. A lock name and a scope have three of them:
//
//   NAME@SCOPE            the lock itself, on which the record locks are taken. A FIFO, because it
//                         can't be truncated, mapped, or grow beyond a pipe's buffer
//   sem.NAME@SCOPE        the named mutex that wakes waiters (wakeup.h)
//   NAME@SCOPE-holders.1  the holder table (holder_table.h); 1 is the version of its layout
//
// Exporters exclude each other if they have the same name and scope, whatever layout version their
// holder tables have. '@' can't occur in a lock name, so no two names share a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/lock/lock_key.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

enum class LockFile : std::uint8_t { kLock, kMutex, kHolders };
inline constexpr LockFile kLockFiles[] = {LockFile::kLock, LockFile::kMutex, LockFile::kHolders};

// [A-Za-z0-9._-], 1 to kMaxLockNameBytes bytes.
[[nodiscard]] bool IsLockName(std::string_view name);

[[nodiscard]] std::string LockFilePath(LockFile file, const std::string& name, LockScope scope);

// As Boost.Interprocess expects it.
[[nodiscard]] std::string LockMutexName(const std::string& name, LockScope scope);

// Supervisor only. Creates missing files with mode 0600, and replaces files of this user that have
// another mode, type or size, or a second name. If it is killed, each file is complete, missing, or
// replaced by the next call. Several supervisors may call it at once. Fails if a file belongs to
// another user; the message says what to do.
[[nodiscard]] Status CreateLockFiles(const std::string& name, LockScope scope);

// Opens a file, close-on-exec, never through a symbolic link, as a descriptor of at least
// `lowest_fd`. Creates nothing. Fails if the file is not as CreateLockFiles creates it.
[[nodiscard]] Result<UniqueFd> OpenLockFile(LockFile file, const std::string& name, LockScope scope,
                                            int open_flags, int lowest_fd = 0);

// Whether a path names the open file `fd`.
[[nodiscard]] bool IsAt(const std::string& path, int fd);

// Whether the open file still has a name.
[[nodiscard]] bool HasLink(int fd);

}  // namespace iperf3_exporter
