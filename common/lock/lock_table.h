// The host's lock: one test at a time per slot, across workers, exporters and crashes.
//
// What holds, whatever is killed or stopped at whatever instruction:
// - At most one process holds a slot. The holder is who has the *witness*, an open file
//   description's write lock on one byte of the mutex's own file, which the kernel drops
//   when its owner dies. Nothing else decides: no pid, no record, no count.
// - A holder's death frees the slot as soon as its iperf3 is gone too, and not before:
//   the *tenant* byte is share-locked by a read-only description that iperf3 inherits.
//   The next holder waits for that byte after it has the witness.
// - Nobody needs to clean up. The mutex (boost::interprocess::named_mutex, a counting
//   semaphore without an owner) is only the doorbell; each holder brings its count to
//   zero, so neither a lost nor a double post lives past the next holder.
// - Waiters pass the *gate*, a third byte, one at a time: who has just released comes after
//   who already waits, so instances alternate. A stopped waiter at the gate holds up
//   the others; the supervisor kills a worker that is past its deadline.
// - A file deleted under us is noticed within one slice of waiting, and by whoever gets the
//   witness. A test that runs under the deleted file goes on and may overlap with one under
//   the new file. That can't be prevented.
//
// The wait is not the mutex's timed_lock, which counts on the wall clock (a clock set back
// would freeze it) and throws on a signal: it is sem_clockwait on the monotonic clock, on a
// mapping of the same semaphore.
//
// Descriptors: two per slot and one more (129 for 64 slots), all close-on-exec.
//
// After Open these system calls are enough (and need no path): fcntl with F_OFD_SETLK and
// F_OFD_GETLK; fstat, or newfstatat with AT_EMPTY_PATH, by which glibc 2.33 to 2.38 do it; futex
// (FUTEX_WAKE, FUTEX_WAIT_BITSET with a monotonic time, on shared memory); ppoll;
// clock_gettime; sched_yield; restart_syscall. The destructor: munmap, close.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "common/deadline.h"
#include "common/error.h"

namespace iperf3_exporter {

// What the board shows of the holder.
struct LockUse {
  std::string target;
  std::uint16_t port = 0;
};

enum class AcquireOutcome : std::uint8_t {
  kAcquired,
  kTimeout,     // not had before the deadline
  kCancelled,   // cancel_fd became readable or was hung up
  kObjectGone,  // the file was deleted (or can't be locked any more): open a new table
};

class LockSlot;

// The right to run one test. Ends with the object.
class HeldLock {
 public:
  HeldLock() = default;
  HeldLock(HeldLock&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  HeldLock& operator=(HeldLock&& other) noexcept {
    if (this != &other) {
      Release();
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~HeldLock() { Release(); }

  [[nodiscard]] explicit operator bool() const { return slot_ != nullptr; }

  // Only after iperf3 has been reaped: this also ends the hold that iperf3's copy of the
  // tenant descriptor has. Does nothing if nothing is held. Does not block.
  void Release();

  // Borrowed, read-only, close-on-exec, valid while the table lives: iperf3's process must
  // clear close-on-exec on it between fork and exec, and keep it to its end.
  [[nodiscard]] int tenant_fd() const;

 private:
  friend class LockTable;
  explicit HeldLock(LockSlot* slot) : slot_(slot) {}

  LockSlot* slot_ = nullptr;
};

struct AcquireResult {
  AcquireOutcome outcome = AcquireOutcome::kTimeout;
  HeldLock lock;  // only with kAcquired
  std::chrono::nanoseconds waited{0};
  // The last holder (or a waiter who had just been rung for) died; with kAcquired only.
  bool recovered = false;
};

// Worker only; one per process; must outlive what it gave. Not for several threads.
class LockTable {
 public:
  // Opens what CreateLockObjects made, with open file descriptions of this process's own;
  // creates nothing. Call it after the fork and before the sandbox. The descriptors that it keeps
  // are at `lowest_fd` or above: those of the mutexes must be writable to be locked, so a
  // sandbox that is to keep them from being cut short tells them by their numbers.
  [[nodiscard]] static Result<LockTable> Open(const std::string& name, std::uint32_t slots,
                                              int lowest_fd = 0);

  LockTable(LockTable&&) noexcept;
  LockTable& operator=(LockTable&&) noexcept;
  ~LockTable();

  [[nodiscard]] std::uint32_t slots() const;

  // Takes slot `slot` (below slots(), and not held by this process). Blocks until one of
  // the outcomes, at most until `deadline`; a deadline that has passed still tries once.
  // `cancel_fd` (-1: none) is borrowed and never read from: when it is readable or hung up
  // while we wait, the wait ends within 20 ms. If what is in it turns out to concern
  // something else, call again.
  [[nodiscard]] AcquireResult Acquire(std::uint32_t slot, const LockUse& use, Deadline deadline,
                                      int cancel_fd);

 private:
  struct State;
  explicit LockTable(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace iperf3_exporter
