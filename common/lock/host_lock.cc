#include "common/lock/host_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "common/lock/lock_files.h"
#include "common/lock/lock_monitor.h"
#include "common/lock/record_lock.h"

namespace iperf3_exporter {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// The longest sleep between two checks of lock, deadline, cancel_fd and files.
constexpr nanoseconds kMaxSleep = milliseconds(20);
// Waiters outside the turnstile need no low latency: the one inside still waits for a test to end.
constexpr nanoseconds kTurnstilePoll = milliseconds(4);
// A killed iperf3 takes about a millisecond to exit.
constexpr nanoseconds kLeasePoll = microseconds(500);
// Long enough for the next waiter to consume a post that was passed on.
constexpr nanoseconds kPassOnPause = milliseconds(1);

bool WaitUntilReadable(int fd, nanoseconds wait) {
  struct pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  const timespec time = {.tv_sec = 0, .tv_nsec = wait.count()};
  return ::ppoll(&poll_fd, 1, &time, nullptr) > 0;
}

// Sleeps for `wait` (less than a second), but not beyond the deadline or a cancel.
void Sleep(nanoseconds wait, Deadline deadline, int cancel_fd) {
  static_cast<void>(WaitUntilReadable(cancel_fd, std::min(wait, TimeLeft(deadline))));
}

}  // namespace

HeldLock& HeldLock::operator=(HeldLock&& other) noexcept {
  if (this != &other) {
    Release();
    lock_ = std::exchange(other.lock_, nullptr);
    key_ = other.key_;
    entry_ = other.entry_;
  }
  return *this;
}

void HeldLock::Release() {
  if (HostLock* lock = std::exchange(lock_, nullptr)) lock->Release(key_, entry_);
}

int HeldLock::lease_fd() const { return lock_ == nullptr ? -1 : lock_->lease_.get(); }

HostLock::HostLock(UniqueFd lease, UniqueFd file, UniqueFd table_file, Wakeup wakeup,
                   HolderTable holders)
    : lease_(std::move(lease)),
      file_(std::move(file)),
      table_file_(std::move(table_file)),
      wakeup_(std::move(wakeup)),
      holders_(std::move(holders)),
      self_{.pid_namespace = OwnPidNamespace(),
            .exporter_pid = static_cast<std::uint32_t>(::getppid()),
            .worker_pid = static_cast<std::uint32_t>(::getpid())} {}

Result<std::unique_ptr<HostLock>> HostLock::Open(const std::string& name, LockScope scope,
                                                 int lowest_fd) {
  Result<UniqueFd> lease = OpenLockFile(LockFile::kLock, name, scope, O_RDONLY, lowest_fd);
  if (!lease) return tl::unexpected(lease.error());
  Result<UniqueFd> file = OpenLockFile(LockFile::kLock, name, scope, O_RDWR, lowest_fd);
  if (!file) return tl::unexpected(file.error());
  Result<UniqueFd> table_file = OpenLockFile(LockFile::kHolders, name, scope, O_RDONLY, lowest_fd);
  if (!table_file) return tl::unexpected(table_file.error());
  const Result<UniqueFd> writable = OpenLockFile(LockFile::kHolders, name, scope, O_RDWR);
  if (!writable) return tl::unexpected(writable.error());
  Result<HolderTable> holders = HolderTable::Map(writable->get());
  if (!holders) return tl::unexpected(holders.error());
  Result<Wakeup> wakeup = Wakeup::Open(name, scope);
  if (!wakeup) return tl::unexpected(wakeup.error());
  // A file that is no longer linked was replaced between two of these calls.
  for (const int fd : {lease->get(), file->get(), table_file->get(), writable->get()}) {
    if (!IsLinked(fd))
      return MakeError("the lock's files were replaced while they were being opened");
  }
  return std::unique_ptr<HostLock>(new HostLock(std::move(*lease), std::move(*file),
                                                std::move(*table_file), std::move(*wakeup),
                                                std::move(*holders)));
}

tl::expected<HeldLock, AcquireError> HostLock::Acquire(LockKey key, const HolderInfo& holder,
                                                       Deadline deadline, int cancel_fd) {
  const Limits limits = {.deadline = deadline, .cancel_fd = cancel_fd};
  if (const WaitStatus entered = EnterTurnstile(key, limits); !entered) {
    return tl::unexpected(entered.error());
  }
  const WaitStatus owner = AcquireOwnerLock(key, limits);
  Unlock(file_.get(), OffsetOf(LockRole::kTurnstile, key));
  if (!owner) return tl::unexpected(owner.error());
  if (const WaitStatus lease = TakeLease(key, limits); !lease) {
    ReleaseOwnerLock(key);
    return tl::unexpected(lease.error());
  }
  return HeldLock(this, key, AddToTable(key, holder));
}

HostLock::WaitStatus HostLock::CheckLimits(const Limits& limits) const {
  if (!IsLinked(file_.get())) return tl::unexpected(AcquireError::kLockGone);
  if (limits.cancel_fd >= 0 && WaitUntilReadable(limits.cancel_fd, nanoseconds::zero())) {
    return tl::unexpected(AcquireError::kCancelled);
  }
  if (TimeLeft(limits.deadline) == nanoseconds::zero()) {
    return tl::unexpected(AcquireError::kTimeout);
  }
  return {};
}

HostLock::WaitStatus HostLock::EnterTurnstile(LockKey key, const Limits& limits) {
  while (!TryLock(file_.get(), OffsetOf(LockRole::kTurnstile, key), F_WRLCK)) {
    if (WaitStatus within = CheckLimits(limits); !within) return within;
    Sleep(kTurnstilePoll, limits.deadline, limits.cancel_fd);
  }
  return {};
}

HostLock::WaitStatus HostLock::AcquireOwnerLock(LockKey key, const Limits& limits) {
  bool woken = false;
  bool passed_on = false;  // the last wakeup was posted again, because the key was still held
  while (!TryLock(file_.get(), OffsetOf(LockRole::kOwner, key), F_WRLCK)) {
    passed_on = woken && !passed_on;
    if (passed_on) {
      wakeup_.Post();
      Sleep(kPassOnPause, limits.deadline, limits.cancel_fd);
    }
    if (WaitStatus within = CheckLimits(limits); !within) return within;
    woken = wakeup_.Wait(Clock::now() + std::min(kMaxSleep, TimeLeft(limits.deadline)));
  }
  return {};
}

HostLock::WaitStatus HostLock::TakeLease(LockKey key, const Limits& limits) {
  const std::int64_t offset = OffsetOf(LockRole::kLease, key);
  // Only the holder of the owner lock takes the lease, so once it is free nobody else can take it.
  while (IsLocked(file_.get(), offset)) {
    if (WaitStatus within = CheckLimits(limits); !within) return within;
    Sleep(kLeasePoll, limits.deadline, limits.cancel_fd);
  }
  if (!TryLock(lease_.get(), offset, F_RDLCK)) return tl::unexpected(AcquireError::kLockGone);
  if (!IsLinked(file_.get()) || !IsLinked(table_file_.get())) {
    Unlock(lease_.get(), offset);
    return tl::unexpected(AcquireError::kLockGone);
  }
  return {};
}

std::optional<HolderTable::Entry> HostLock::AddToTable(LockKey key, const HolderInfo& holder) {
  HolderRecord record = self_;
  record.key = key;
  record.since_ns = nanoseconds(Clock::now().time_since_epoch()).count();
  record.port = holder.port;
  const std::size_t bytes = std::min(holder.target.size(), record.target.size());
  record.target_bytes = static_cast<std::uint32_t>(bytes);
  std::memcpy(record.target.data(), holder.target.data(), bytes);
  return holders_.Add(record, [this](LockKey other) {
    return IsLocked(file_.get(), OffsetOf(LockRole::kOwner, other));
  });
}

void HostLock::ReleaseOwnerLock(LockKey key) {
  Unlock(file_.get(), OffsetOf(LockRole::kOwner, key));
  // Afterwards, so that the woken waiter finds it free.
  wakeup_.Post();
}

void HostLock::Release(LockKey key, const std::optional<HolderTable::Entry>& entry) {
  // If the exporter has died, the record stays, as if this process had died too, so that the next
  // holder counts a recovery.
  const bool has_exporter = static_cast<std::uint32_t>(::getppid()) == self_.exporter_pid;
  if (entry && has_exporter) holders_.Remove(entry->slot);
  Unlock(lease_.get(), OffsetOf(LockRole::kLease, key));
  ReleaseOwnerLock(key);
}

}  // namespace iperf3_exporter
