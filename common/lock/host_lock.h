// The host's lock: one test at a time per key, across workers, exporters and crashes.
//
// Guarantees, at whatever instruction a process is killed or stopped:
// - At most one process holds a key: the one that has the *owner lock*, an open file description
//   (OFD) lock, which the kernel drops when its owner dies. Nothing else decides: no pid, no
//   record, no count.
// - A dead holder's key becomes free when its iperf3 has ended too. iperf3 inherits the *child
//   lease*, a read lock on a read-only open file description, as its lowest descriptor. When a
//   process dies, the kernel releases its files (__fput) from the highest descriptor to the lowest,
//   so every socket is closed before the lease ends. The next holder, which already has the owner
//   lock, waits until then.
// - Waiters pass the *turnstile* one at a time: only the one inside competes for the owner lock, so
//   an exporter that has just released a key does not overtake one that already waits for it.
//   A stopped waiter in the turnstile blocks the others; the supervisor kills a worker that is past
//   its deadline.
// - A waiter notices within 20 ms that the lock's file was deleted. That the holder table was
//   deleted is noticed only when the lock is acquired. A test under the deleted file continues and
//   may overlap with one under the new file. That can't be prevented.
//
// A release posts one wakeup (wakeup.h), which all keys share. A waiter that is woken while its own
// key is still held posts it again, once, and stays away from it for a millisecond, so that another
// waiter can take it. If the post comes back, nobody else wanted it, and it is dropped. Posts can
// be lost (a process was killed, or two releases shared one), so every waiter also tries its owner
// lock every 20 ms.
//
// Deleting only the wakeup's file loses wakeups until the workers are restarted.
//
// A HostLock keeps three descriptors open, all close-on-exec; the lowest is the child lease. After
// Open these system calls suffice, and none needs a path: fcntl with F_OFD_SETLK and
// F_OFD_GETLK; fstat, or newfstatat with AT_EMPTY_PATH (glibc 2.33 to 2.38); futex (FUTEX_WAKE,
// FUTEX_WAIT_BITSET with a monotonic time, on shared memory); ppoll; getppid; clock_gettime;
// restart_syscall. The destructor: munmap, close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "common/deadline.h"
#include "common/error.h"
#include "common/lock/holder_table.h"
#include "common/lock/lock_key.h"
#include "common/lock/wakeup.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// What the caller of Acquire contributes to its record in the holder table.
struct HolderInfo {
  std::string target;
  std::uint16_t port = 0;
};

enum class AcquireError : std::uint8_t {
  kTimeout,    // not acquired before the deadline
  kCancelled,  // cancel_fd became readable or was hung up
  kLockGone,   // the lock's file or the holder table was deleted: open a new HostLock
};

class HostLock;

// The right to run one test. Ends with the object.
class HeldLock {
 public:
  HeldLock() = default;
  HeldLock(HeldLock&& other) noexcept { *this = std::move(other); }
  HeldLock& operator=(HeldLock&& other) noexcept;
  ~HeldLock() { Release(); }

  [[nodiscard]] explicit operator bool() const { return lock_ != nullptr; }

  // Call it only after iperf3 has been reaped: it ends the lease for all copies of the descriptor.
  // No-op if nothing is held. Does not block.
  void Release();

  // True if the previous holder of the key, or its exporter, died while it held the key.
  [[nodiscard]] bool recovered() const { return entry_ && entry_->predecessor_died; }

  // The child lease: borrowed, read-only, valid while the HostLock lives; -1 if nothing is held.
  // iperf3 must have it as its lowest descriptor and keep it to its end.
  [[nodiscard]] int lease_fd() const;

 private:
  friend class HostLock;
  HeldLock(HostLock* lock, LockKey key, std::optional<HolderTable::Entry> entry)
      : lock_(lock), key_(key), entry_(entry) {}

  HostLock* lock_ = nullptr;
  LockKey key_ = kNoLock;
  std::optional<HolderTable::Entry> entry_;
};

// For workers. One per process; must outlive what it returns. Not thread-safe.
class HostLock {
 public:
  // Opens the files of CreateLockFiles, as open file descriptions that no other process shares;
  // creates nothing. Call it after the fork and before the sandbox. The lease is the descriptor
  // `lowest_fd` if that is free; the others are above it.
  [[nodiscard]] static Result<std::unique_ptr<HostLock>> Open(const std::string& name,
                                                              LockScope scope, int lowest_fd = 0);

  HostLock(const HostLock&) = delete;
  HostLock& operator=(const HostLock&) = delete;

  // Acquires `key`. The process must not hold one already. Blocks at most until `deadline`; a
  // deadline that has passed still allows one attempt. `cancel_fd` (-1: none) is borrowed and never
  // read from: when it is readable or hung up, the wait ends within 20 ms.
  [[nodiscard]] tl::expected<HeldLock, AcquireError> Acquire(LockKey key, const HolderInfo& holder,
                                                             Deadline deadline, int cancel_fd);

 private:
  friend class HeldLock;

  // What ends a wait.
  struct Limits {
    Deadline deadline;
    int cancel_fd;
  };
  using WaitStatus = tl::expected<void, AcquireError>;

  HostLock(UniqueFd lease, UniqueFd file, UniqueFd table_file, Wakeup wakeup, HolderTable holders);

  [[nodiscard]] WaitStatus CheckLimits(const Limits& limits) const;
  [[nodiscard]] WaitStatus EnterTurnstile(LockKey key, const Limits& limits);
  [[nodiscard]] WaitStatus AcquireOwnerLock(LockKey key, const Limits& limits);
  [[nodiscard]] WaitStatus TakeLease(LockKey key, const Limits& limits);
  [[nodiscard]] std::optional<HolderTable::Entry> AddToTable(LockKey key, const HolderInfo& holder);
  void ReleaseOwnerLock(LockKey key);
  void Release(LockKey key, const std::optional<HolderTable::Entry>& entry);

  UniqueFd lease_;
  UniqueFd file_;        // owner lock and turnstile
  UniqueFd table_file_;  // read-only, tells whether it was deleted
  Wakeup wakeup_;
  HolderTable holders_;
  HolderRecord self_;  // what all records of this process have in common
};

}  // namespace iperf3_exporter
