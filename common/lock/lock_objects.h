// The lock's objects in /dev/shm: their names, who makes them, and whose they must be.
//
// A lock name stands for a table of slots, each a lock of its own. One slot (scope
// `host`) has the lock's own name; more (scopes `bind` and `target`) are numbered. So
// exporters of the same name and kind of scope share their locks, others do not.
//
//   /dev/shm/sem.NAME                  the named mutex of the only slot
//   /dev/shm/sem.NAME@64-7             the named mutex of slot 7 of 64
//   /dev/shm/NAME@board, NAME@64-board the board (lock_board.h)
//
// '@' can't occur in a lock name, so no name's objects can be another's.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// Slots of the scopes `bind` and `target`. A collision of two keys only makes two
// tests wait for each other; 64 keeps that rare and a worker's descriptors few.
inline constexpr std::uint32_t kKeyedLockSlots = 64;
inline constexpr std::uint32_t kMaxLockSlots = 64;

// [A-Za-z0-9._-], 1 to kMaxLockNameBytes bytes.
[[nodiscard]] bool IsLockName(std::string_view name);

// The slot of a scope's key, such as "bind:192.0.2.1" or "target:192.0.2.1:5201". The
// same in every process, version and architecture. `slots` is not 0.
[[nodiscard]] std::uint32_t SlotForKey(std::string_view key, std::uint32_t slots);

// Supervisor only. Makes what is missing of `slots` mutexes and the board, each with mode
// 0600 and in one step, so that a kill at any moment leaves a whole object or none.
// Gives how many it made: 0 when all were there. Any number of supervisors may call it
// at once. A file of this user's own, mode 0600, that has another size is replaced by a new one:
// a worker that was taken over may have left it. Fails, naming the file, if one belongs to another
// user, is open to others, or is no regular file; such a file is left as it is. Waits a few
// milliseconds at most.
[[nodiscard]] Result<std::uint32_t> CreateLockObjects(const std::string& name, std::uint32_t slots);

// Name as Boost.Interprocess takes it, and the files behind it.
[[nodiscard]] std::string LockMutexName(const std::string& name, std::uint32_t slots,
                                        std::uint32_t slot);
[[nodiscard]] std::string LockMutexPath(const std::string& name, std::uint32_t slots,
                                        std::uint32_t slot);
[[nodiscard]] std::string LockBoardPath(const std::string& name, std::uint32_t slots);

// Opens one of these files, never through a link, close-on-exec, as a descriptor not below
// `lowest_fd`. Fails if it is not a regular file of this user alone, or not of `bytes` bytes.
[[nodiscard]] Result<UniqueFd> OpenLockFile(const std::string& path, int open_flags,
                                            std::size_t bytes, int lowest_fd = 0);

[[nodiscard]] bool IsSameFile(int fd, int other_fd);

// Whether the open file still has a name.
[[nodiscard]] bool HasLink(int fd);

// Tells the calling process's pid namespace from others of this host; 0 where /proc does
// not say. Uses a path.
[[nodiscard]] std::uint64_t OwnPidNamespace();

}  // namespace iperf3_exporter
