// The lock's files. Each pair of lock name and scope has three in /dev/shm:
//
//   NAME@SCOPE            the lock itself, on which the record locks are taken. A FIFO, because it
//                         can be neither truncated nor mapped, and can't grow beyond a pipe's
//                         buffer
//   sem.NAME@SCOPE        Boost's named mutex, used only to wake waiters (wakeup.h)
//   NAME@SCOPE-holders.2  the holder table (holder_table.h); 2 is the version of its layout
//
// Exporters with the same lock name and scope exclude each other, even if their holder tables have
// different layout versions. A lock name contains no '@' and does not start with "sem.", so no two
// names share a file.
//
// Every exporter that uses the files has a read lock on one byte of the lock file (LockMonitor).
// Whoever wants to remove the files of a lock that nobody uses first write-locks the lock file as a
// whole, and removes it last. So the files of a running exporter stay.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/lock/lock_key.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

enum class LockFile : std::uint8_t { kLock, kWakeup, kHolders };
inline constexpr LockFile kLockFiles[] = {LockFile::kLock, LockFile::kWakeup, LockFile::kHolders};

// [A-Za-z0-9._-], 1 to kMaxLockNameBytes bytes, not starting with "sem.".
[[nodiscard]] bool IsValidLockName(std::string_view name);

[[nodiscard]] std::string LockFilePath(LockFile file, const std::string& name, LockScope scope);

// The name to pass to boost::interprocess::named_mutex: no directory, no `sem.` prefix.
[[nodiscard]] std::string WakeupMutexName(const std::string& name, LockScope scope);

// Supervisor only. Creates missing files with mode 0600, and replaces files of this user that have
// another mode, type or size, or more than one hard link. root also replaces files of another user
// if no exporter uses them. Afterwards every file has all its space in /dev/shm. If the process is
// killed during the call, the next call creates or replaces what is missing or incomplete. Several
// supervisors may call it at once. Fails if a path is a directory, or if a file belongs to another
// user and stays; the message says what to do, unless the file appeared during the call. Fails too
// if a file can't be created or replaced, and then removes the files that nobody uses.
[[nodiscard]] Status CreateLockFiles(const std::string& name, LockScope scope);

// Fails as CreateLockFiles would, or if a file can't be opened. Changes nothing.
[[nodiscard]] Status CheckLockFiles(const std::string& name, LockScope scope);

// Removes the files of this user unless an exporter or a test uses them. Without the lock file that
// can't be told, and the others stay.
void RemoveUnusedLockFiles(const std::string& name, LockScope scope);

// Opens a file with O_CLOEXEC, O_NOFOLLOW and O_NONBLOCK, as a descriptor not below `lowest_fd`.
// Creates nothing. Fails if the file is not as CreateLockFiles creates it.
[[nodiscard]] Result<UniqueFd> OpenLockFile(LockFile file, const std::string& name, LockScope scope,
                                            int open_flags, int lowest_fd = 0);

// Whether a path names the open file `fd`.
[[nodiscard]] bool PathRefersTo(const std::string& path, int fd);

// Whether the open file still has a directory entry.
[[nodiscard]] bool IsLinked(int fd);

}  // namespace iperf3_exporter
