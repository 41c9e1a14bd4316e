// The host's lock: one test at a time per key, across workers, exporters and crashes.
//
// Guarantees, at whatever instruction a process is killed or stopped:
// - At most one process holds a key: the one that has the *owner lock*, a record lock that the
//   kernel drops when its owner dies. Nothing else decides: no pid, no record, no count.
// - A dead holder's key becomes free when its iperf3 has ended too. iperf3 inherits the *child
//   lease*, a read-only description with a read lock, as its lowest descriptor: the kernel closes a
//   dying process's descriptors last in, first out, so every socket is closed before the lease. The
//   next holder waits for the lease to end after it has acquired the owner lock.
// - Waiters pass the *turnstile* one at a time, so exporters alternate. A stopped waiter in the
//   turnstile blocks the others; the supervisor kills a worker that is past its deadline.
// - A waiter notices a deleted file within 20 ms, and so does whoever acquires the owner lock. A
//   test under the deleted file continues and may overlap with one under the new file. That can't
//   be prevented.
//
// A release wakes one waiter (wakeup.h), of this key or of another one: all keys share the wakeup.
// A waiter that was woken while its key is still held posts the wakeup again, once, and does not
// wait for it for a millisecond, so that another waiter gets it. If the post comes back, nobody
// needed it, and the waiter consumes it. A lost post (its poster or the woken waiter was killed, or
// two releases shared one) delays a waiter by at most 20 ms, because every waiter tries its own
// lock that often. So no waiter starves, and no post makes a waiter spin.
//
// Deleting the mutex alone loses only wakeups, until the workers are restarted.
//
// A process has three descriptors for it, all close-on-exec; `lowest_fd` is the child lease. After
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

// What the holder table shows of the holder.
struct LockUser {
  std::string target;
  std::uint16_t port = 0;
};

enum class AcquireError : std::uint8_t {
  kTimeout,    // not acquired before the deadline
  kCancelled,  // cancel_fd became readable or was hung up
  kLockGone,   // a file was deleted: open a new HostLock
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

  // Only after iperf3 has been reaped: this ends the lease for all copies of the descriptor. No-op
  // if nothing is held. Does not block.
  void Release();

  // Whether the last holder of the key, or its exporter, died while it held it.
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
  // Opens the files of CreateLockFiles, with open file descriptions of this process's own; creates
  // nothing. Call it after the fork and before the sandbox. The lease is the descriptor `lowest_fd`
  // if that is free; the others are above it.
  [[nodiscard]] static Result<std::unique_ptr<HostLock>> Open(const std::string& name,
                                                              LockScope scope, int lowest_fd = 0);

  HostLock(const HostLock&) = delete;
  HostLock& operator=(const HostLock&) = delete;

  // Acquires `key`, while this process holds no key. Blocks at most until `deadline`; a
  // deadline that has passed still allows one attempt. `cancel_fd` (-1: none) is borrowed and never
  // read from: when it is readable or hung up, the wait ends within 20 ms.
  [[nodiscard]] tl::expected<HeldLock, AcquireError> Acquire(LockKey key, const LockUser& user,
                                                             Deadline deadline, int cancel_fd);

 private:
  friend class HeldLock;

  // What ends a wait.
  struct Limits {
    Deadline deadline;
    int cancel_fd;
  };
  using Acquired = tl::expected<void, AcquireError>;

  HostLock(UniqueFd lease, UniqueFd file, UniqueFd table_file, Wakeup wakeup, HolderTable holders);

  [[nodiscard]] Acquired CheckLimits(const Limits& limits) const;
  [[nodiscard]] Acquired PassTurnstile(LockKey key, const Limits& limits);
  [[nodiscard]] Acquired WaitForOwner(LockKey key, const Limits& limits);
  [[nodiscard]] Acquired TakeLease(LockKey key, const Limits& limits);
  [[nodiscard]] std::optional<HolderTable::Entry> AddToTable(LockKey key, const LockUser& user);
  void ReleaseOwner(LockKey key);
  void Release(LockKey key, const std::optional<HolderTable::Entry>& entry);

  UniqueFd lease_;
  UniqueFd file_;        // owner lock and turnstile
  UniqueFd table_file_;  // read-only, tells whether it was deleted
  Wakeup wakeup_;
  HolderTable holders_;
  HolderRecord self_;  // what all records of this process have in common
};

}  // namespace iperf3_exporter
