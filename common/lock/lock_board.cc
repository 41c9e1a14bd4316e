#include "common/lock/lock_board.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/lock/byte_lock.h"
#include "common/lock/lock_objects.h"

namespace iperf3_exporter {
namespace {

bool IsTargetByte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == ':' || c == '%' || c == '[' || c == ']';
}

bool IsPlausible(const BoardRecord& record) {
  return record.since_ns > 0 && record.target_bytes <= kMaxTargetBytes && record.port <= UINT16_MAX;
}

LockHolder ToHolder(const BoardRecord& record) {
  LockHolder holder;
  holder.identified = true;
  holder.ours = record.exporter_pid == static_cast<std::uint32_t>(::getpid()) &&
                record.pid_namespace == OwnPidNamespace();
  holder.exporter_pid = record.exporter_pid;
  holder.worker_pid = record.worker_pid;
  holder.target.assign(record.target.data(), record.target_bytes);
  std::ranges::replace_if(
      holder.target, [](char c) { return !IsTargetByte(c); }, '?');
  holder.port = static_cast<std::uint16_t>(record.port);
  holder.since = std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds(record.since_ns)));
  return holder;
}

// Whether `path` names another file than `fd`, or none.
bool IsReplaced(const std::string& path, int fd) {
  struct stat by_path = {};
  struct stat by_fd = {};
  if (!HasLink(fd)) return true;
  if (::stat(path.c_str(), &by_path) != 0) return errno == ENOENT;
  return ::fstat(fd, &by_fd) == 0 &&
         (by_path.st_ino != by_fd.st_ino || by_path.st_dev != by_fd.st_dev);
}

}  // namespace

Result<LockBoard> LockBoard::Open(const std::string& name, std::uint32_t slots) {
  if (!IsLockName(name) || slots == 0 || slots > kMaxLockSlots) {
    return MakeError("not a table of locks");
  }
  LockBoard board;
  board.name_ = name;
  Result<UniqueFd> file =
      OpenLockFile(LockBoardPath(name, slots), O_RDONLY, BoardMemory::Bytes(slots));
  if (!file) return tl::unexpected(file.error());
  board.file_ = BoardFile(std::move(*file));
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    Result<UniqueFd> mutex =
        OpenLockFile(LockMutexPath(name, slots, slot), O_RDONLY, sizeof(sem_t));
    if (!mutex) return tl::unexpected(mutex.error());
    board.mutex_files_.push_back(std::move(*mutex));
  }
  return board;
}

std::uint32_t LockBoard::slots() const { return static_cast<std::uint32_t>(mutex_files_.size()); }

std::optional<LockHolder> LockBoard::Read(std::uint32_t slot) const {
  const int file = mutex_files_.at(slot).get();
  const std::optional<BoardRecord> record = file_.Read(slot);
  if (record && IsPlausible(*record) &&
      ProbeByte(file, StampByte(record->since_ns)) == ByteLock::kBusy) {
    return ToHolder(*record);
  }
  if (ProbeByte(file, kWitnessByte) == ByteLock::kBusy) return LockHolder{};
  return std::nullopt;
}

std::uint64_t LockBoard::recoveries() const { return file_.recoveries(); }

bool LockBoard::ObjectsGone() const {
  if (IsReplaced(LockBoardPath(name_, slots()), file_.fd())) return true;
  for (std::uint32_t slot = 0; slot < slots(); ++slot) {
    if (IsReplaced(LockMutexPath(name_, slots(), slot), mutex_files_[slot].get())) return true;
  }
  return false;
}

}  // namespace iperf3_exporter
