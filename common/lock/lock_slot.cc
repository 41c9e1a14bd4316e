#include "common/lock/lock_slot.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "common/lock/lock_objects.h"

namespace iperf3_exporter {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// The longest that anybody sleeps without a look at deadline, cancel and file.
constexpr nanoseconds kSlice = milliseconds(20);
// Behind the gate nobody is in a hurry: in front of it there is somebody who waits for a test to
// end.
constexpr nanoseconds kGatePoll = milliseconds(4);
// A dying iperf3 needs about a millisecond.
constexpr nanoseconds kTenantPoll = microseconds(500);
// After a ring the witness is dropped within a microsecond or two, if its owner runs.
constexpr int kTriesAfterRing = 30;
constexpr nanoseconds kFirstSliceAfterRing = microseconds(50);
// More rings than this in one wait are not ours: then the bell is not listened to.
constexpr int kMaxRings = 16;

bool IsReadable(int fd, nanoseconds wait) {
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  const timespec time = {.tv_sec = 0, .tv_nsec = wait.count()};
  return ::ppoll(&poll_fd, 1, &time, nullptr) > 0;
}

// Sleeps no longer than `wait` (under a second), nor past the deadline, nor once cancelled.
void Sleep(nanoseconds wait, Deadline deadline, int cancel_fd) {
  static_cast<void>(IsReadable(cancel_fd, std::min(wait, TimeLeft(deadline))));
}

std::int64_t WallClockNanoseconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace

LockSlot::LockSlot(UniqueFd file, UniqueFd tenant, Doorbell bell, LockBoardAccess& board,
                   std::uint32_t slot)
    : file_(std::move(file)),
      tenant_(std::move(tenant)),
      bell_(std::move(bell)),
      board_(&board),
      slot_(slot) {}

Result<LockSlot> LockSlot::Open(const std::string& name, std::uint32_t slots, std::uint32_t slot,
                                LockBoardAccess& board) {
  const std::string path = LockMutexPath(name, slots, slot);
  // File, mutex, file: if all files are one, the mutex between them is that file too.
  Result<UniqueFd> file = OpenLockFile(path, O_RDWR, sizeof(sem_t), board.lowest_fd);
  if (!file) return tl::unexpected(file.error());
  // A mapping keeps its description, and its locks, alive in a forked child: so the bell maps
  // one of its own, which is closed here.
  const Result<UniqueFd> bell_file = OpenLockFile(path, O_RDWR, sizeof(sem_t));
  if (!bell_file) return tl::unexpected(bell_file.error());
  Result<Doorbell> bell = Doorbell::Open(LockMutexName(name, slots, slot), bell_file->get());
  if (!bell) return tl::unexpected(bell.error());
  Result<UniqueFd> tenant = OpenLockFile(path, O_RDONLY, sizeof(sem_t), board.lowest_fd);
  if (!tenant) return tl::unexpected(tenant.error());
  if (!IsSameFile(file->get(), tenant->get()) || !IsSameFile(file->get(), bell_file->get())) {
    return MakeError(path + " was replaced while it was being opened");
  }
  return LockSlot(std::move(*file), std::move(*tenant), std::move(*bell), board, slot);
}

AcquireOutcome LockSlot::Acquire(const LockUse& use, Deadline deadline, int cancel_fd,
                                 bool& recovered) {
  const Patience patience = {.deadline = deadline, .cancel_fd = cancel_fd};
  if (const Refusal refusal = TakeGate(patience)) return *refusal;
  const Refusal refusal = TakeWitness(patience, recovered);
  UnlockByte(file_.get(), kGateByte);
  if (refusal) return *refusal;
  if (const Refusal late = TakeTenancy(patience)) {
    PassOn();
    return *late;
  }
  if (recovered) board_->memory.CountRecovery();
  SignBoard(use);
  return AcquireOutcome::kAcquired;
}

LockSlot::Refusal LockSlot::Ended(const Patience& patience) const {
  if (!HasLink(file_.get())) return AcquireOutcome::kObjectGone;
  if (patience.cancel_fd >= 0 && IsReadable(patience.cancel_fd, nanoseconds::zero())) {
    return AcquireOutcome::kCancelled;
  }
  if (TimeLeft(patience.deadline) == nanoseconds::zero()) return AcquireOutcome::kTimeout;
  return std::nullopt;
}

LockSlot::Refusal LockSlot::TakeGate(const Patience& patience) {
  for (;;) {
    const ByteLock gate = TryLockByte(file_.get(), kGateByte, F_WRLCK);
    if (gate == ByteLock::kHad) return std::nullopt;
    if (gate == ByteLock::kBroken) return AcquireOutcome::kObjectGone;
    if (const Refusal refusal = Ended(patience)) return refusal;
    Sleep(kGatePoll, patience.deadline, patience.cancel_fd);
  }
}

LockSlot::Refusal LockSlot::TakeWitness(const Patience& patience, bool& recovered) {
  int rings = 0;
  bool just_rang = false;
  nanoseconds slice = kSlice;
  for (;;) {
    const ByteLock witness = TryWitness(just_rang);
    if (witness == ByteLock::kHad) break;
    const Refusal refusal =
        witness == ByteLock::kBroken ? AcquireOutcome::kObjectGone : Ended(patience);
    if (refusal) {
      if (rings > 0) bell_.Ring();  // heard for nothing: leave it as it was found
      return refusal;
    }
    if (rings < kMaxRings) {
      just_rang = bell_.Wait(Clock::now() + std::min(slice, TimeLeft(patience.deadline)));
    } else {
      just_rang = false;
      Sleep(kSlice, patience.deadline, patience.cancel_fd);
    }
    if (just_rang) ++rings;
    slice = just_rang ? kFirstSliceAfterRing : std::min(2 * slice, kSlice);
  }
  const bool was_left_unlocked = bell_.Drain();
  recovered = rings == 0 && !was_left_unlocked;
  return std::nullopt;
}

ByteLock LockSlot::TryWitness(bool rang) {
  ByteLock witness = TryLockByte(file_.get(), kWitnessByte, F_WRLCK);
  for (int i = 1; rang && witness == ByteLock::kBusy && i < kTriesAfterRing; ++i) {
    ::sched_yield();  // the one who rang may share our processor
    witness = TryLockByte(file_.get(), kWitnessByte, F_WRLCK);
  }
  return witness;
}

LockSlot::Refusal LockSlot::TakeTenancy(const Patience& patience) {
  for (;;) {
    // With the witness nobody else takes the tenant byte: free now is free for us.
    const ByteLock tenant = ProbeByte(file_.get(), kTenantByte);
    if (tenant == ByteLock::kBroken) return AcquireOutcome::kObjectGone;
    if (tenant == ByteLock::kHad) break;
    if (const Refusal refusal = Ended(patience)) return refusal;
    Sleep(kTenantPoll, patience.deadline, patience.cancel_fd);
  }
  if (TryLockByte(tenant_.get(), kTenantByte, F_RDLCK) != ByteLock::kHad) {
    return AcquireOutcome::kObjectGone;
  }
  if (!HasLink(file_.get()) || !HasLink(board_->fd.get())) {
    UnlockByte(tenant_.get(), kTenantByte);
    return AcquireOutcome::kObjectGone;
  }
  return std::nullopt;
}

void LockSlot::SignBoard(const LockUse& use) {
  since_ns_ = WallClockNanoseconds();
  BoardRecord record = {.since_ns = since_ns_,
                        .pid_namespace = board_->pid_namespace,
                        .exporter_pid = board_->exporter_pid,
                        .worker_pid = board_->worker_pid,
                        .port = use.port};
  const std::size_t bytes = std::min(use.target.size(), kMaxTargetBytes);
  record.target_bytes = static_cast<std::uint32_t>(bytes);
  std::memcpy(record.target.data(), use.target.data(), bytes);
  // The lock on the stamp first: a reader takes the record for true only with it.
  static_cast<void>(TryLockByte(file_.get(), StampByte(since_ns_), F_WRLCK));
  board_->memory.Write(slot_, record);
}

void LockSlot::Release() {
  board_->memory.Write(slot_, BoardRecord{});
  UnlockByte(file_.get(), StampByte(since_ns_));
  UnlockByte(tenant_.get(), kTenantByte);
  PassOn();
}

void LockSlot::PassOn() {
  // Ring first: the count is only changed for good by who has the witness.
  bell_.Ring();
  UnlockByte(file_.get(), kWitnessByte);
}

}  // namespace iperf3_exporter
