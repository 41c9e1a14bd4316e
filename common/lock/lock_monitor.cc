#include "common/lock/lock_monitor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "common/deadline.h"
#include "common/lock/holder_table.h"
#include "common/lock/lock_files.h"
#include "common/lock/record_lock.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

bool IsIntact(const HolderRecord& record) {
  return record.checksum == ChecksumOf(record) && record.since_ns > 0 &&
         record.target_bytes <= record.target.size() && record.port <= UINT16_MAX;
}

LockHolder ToHolder(const HolderRecord& record) {
  LockHolder holder;
  holder.key = record.key;
  holder.ours = record.exporter_pid == static_cast<std::uint32_t>(::getpid()) &&
                record.pid_namespace == OwnPidNamespace();
  holder.exporter_pid = record.exporter_pid;
  holder.worker_pid = record.worker_pid;
  holder.target.assign(record.target.data(), record.target_bytes);
  std::ranges::replace_if(
      holder.target,
      [](char c) {
        return !HasOnlyAlnumOr({&c, 1}, ".-_:%[]");
      },
      '?');
  holder.port = static_cast<std::uint16_t>(record.port);
  const TimePoint since{std::chrono::nanoseconds(record.since_ns)};
  holder.held_for = std::max(std::chrono::nanoseconds(0), Clock::now() - since);
  return holder;
}

// Appends the keys whose owner lock is held, from `first` to `last`. The kernel returns any lock of
// the range, so the search goes on below and above it.
void CollectHeldKeys(int fd, std::int64_t first, std::int64_t last, std::vector<LockKey>& keys) {
  if (first > last || keys.size() == kHolderSlots) return;
  struct flock range = ByteRange(F_WRLCK, OffsetOf(LockRole::kOwner, 0) + first, last - first + 1);
  if (::fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK) return;
  const std::int64_t key = std::max(first, range.l_start - OffsetOf(LockRole::kOwner, 0));
  keys.push_back(static_cast<LockKey>(key));
  CollectHeldKeys(fd, first, key - 1, keys);
  CollectHeldKeys(fd, key + 1, last, keys);
}

}  // namespace

Result<LockMonitor> LockMonitor::Open(const std::string& name, LockScope scope) {
  Result<UniqueFd> lock = OpenLockFile(LockFile::kLock, name, scope, O_RDONLY);
  if (!lock) return tl::unexpected(lock.error());
  if (!TryLock(lock->get(), kPresenceOffset, F_RDLCK) ||
      !PathRefersTo(LockFilePath(LockFile::kLock, name, scope), lock->get())) {
    return tl::unexpected(
        Error{.message = "another exporter is removing the lock " + name, .is_transient = true});
  }
  Result<UniqueFd> holders = OpenLockFile(LockFile::kHolders, name, scope, O_RDONLY);
  if (!holders) return tl::unexpected(holders.error());
  return LockMonitor(name, scope, std::move(*lock), std::move(*holders));
}

Result<LockMonitor> LockMonitor::Create(const std::string& name, LockScope scope) {
  // The removal takes microseconds.
  constexpr int kAttempts = 20;
  constexpr std::chrono::milliseconds kPause{1};
  for (int attempt = 1;; ++attempt) {
    if (const auto created = CreateLockFiles(name, scope); !created) {
      return tl::unexpected(created.error());
    }
    auto monitor = Open(name, scope);
    if (monitor || attempt == kAttempts) return monitor;
    std::this_thread::sleep_for(kPause);
  }
}

LockMonitor::Status LockMonitor::Read() const {
  std::vector<LockKey> keys;
  CollectHeldKeys(lock_.get(), 1, kRoleRange - 1, keys);
  std::vector<HolderRecord> records(kHolderSlots);
  const ssize_t got = ::pread(holders_.get(), records.data(), kHolderTableBytes, 0);
  records.resize(got < 0 ? 0 : static_cast<std::size_t>(got) / sizeof(HolderRecord));
  std::erase_if(records,
                [](const HolderRecord& record) { return record.checksum != ChecksumOf(record); });
  Status status;
  for (const HolderRecord& record : records) status.recoveries += record.recoveries;
  for (const LockKey key : keys) {
    const auto record = std::ranges::find_if(
        records, [key](const HolderRecord& each) { return each.key == key && IsIntact(each); });
    status.holders.push_back(record == records.end() ? std::nullopt
                                                     : std::optional(ToHolder(*record)));
  }
  return status;
}

bool LockMonitor::NeedsRepair() const {
  for (const LockFile file : kLockFiles) {
    if (!OpenLockFile(file, name_, scope_, O_RDONLY)) return true;
  }
  return !PathRefersTo(LockFilePath(LockFile::kLock, name_, scope_), lock_.get()) ||
         !PathRefersTo(LockFilePath(LockFile::kHolders, name_, scope_), holders_.get());
}

std::uint64_t OwnPidNamespace() {
  struct stat info = {};
  return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

}  // namespace iperf3_exporter
