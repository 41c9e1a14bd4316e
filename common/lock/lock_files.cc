#include "common/lock/lock_files.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/lock/holder_table.h"
#include "common/lock/record_lock.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "common/user_name.h"

namespace iperf3_exporter {
namespace {

constexpr char kDirectory[] = "/dev/shm";  // of glibc's named semaphores
constexpr mode_t kMode = 0600;             // the exporter's user alone

off_t SizeOf(LockFile file) {
  if (file == LockFile::kWakeup) return sizeof(sem_t);
  return file == LockFile::kHolders ? kHolderTableBytes : 0;
}

bool IsWellFormed(LockFile file, const struct stat& info) {
  const mode_t type = file == LockFile::kLock ? S_IFIFO : S_IFREG;
  return info.st_mode == (type | kMode) && info.st_size == SizeOf(file) && info.st_nlink == 1;
}

tl::unexpected<Error> ForeignFileError(const std::string& path, uid_t owner) {
  return MakeError(path + " belongs to " + UserText(owner) + ", and this exporter runs as " +
                   UserText(::geteuid()));
}

struct ForeignFile {
  std::string path;
  uid_t owner;
};

std::optional<ForeignFile> FindForeignFile(const std::string& name, LockScope scope) {
  for (const LockFile file : kLockFiles) {
    std::string path = LockFilePath(file, name, scope);
    struct stat info = {};
    if (::lstat(path.c_str(), &info) == 0 && info.st_uid != ::geteuid()) {
      return ForeignFile{std::move(path), info.st_uid};
    }
  }
  return std::nullopt;
}

enum class ClaimError : std::uint8_t {
  kInUse,
  kUnavailable,  // missing, replaced in the meantime, or it can't be opened
};

// Returns the lock file, write-locked as a whole. Until it is closed, no exporter uses the files:
// one that starts meanwhile retries until they are gone.
tl::expected<UniqueFd, ClaimError> ClaimLockFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return tl::unexpected(ClaimError::kUnavailable);
  if (!TryLockAll(fd.get())) return tl::unexpected(ClaimError::kInUse);
  if (!PathRefersTo(path, fd.get())) return tl::unexpected(ClaimError::kUnavailable);
  return fd;
}

// The lock file goes last: until then the caller's claim, if it has one, keeps other exporters out.
void RemoveFiles(const std::string& name, LockScope scope) {
  for (const LockFile file : {LockFile::kWakeup, LockFile::kHolders, LockFile::kLock}) {
    ::unlink(LockFilePath(file, name, scope).c_str());
  }
}

std::string RemovalAdvice(const std::string& name, LockScope scope) {
  std::string command = "rm -f";
  for (const LockFile file : kLockFiles) command += ' ' + LockFilePath(file, name, scope);
  return ": if no exporter of that user runs, delete the lock's files (" + command +
         "), otherwise use another --lock.name";
}

Status RefuseDirectories(const std::string& name, LockScope scope) {
  for (const LockFile file : kLockFiles) {
    const std::string path = LockFilePath(file, name, scope);
    struct stat info = {};
    if (::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return MakeError(path + " is a directory: delete it (rm -r) or use another --lock.name");
    }
  }
  return {};
}

enum class ForeignFiles : std::uint8_t { kCheck, kRemove };

Status HandleForeignFiles(const std::string& name, LockScope scope, ForeignFiles action) {
  const auto foreign = FindForeignFile(name, scope);
  if (!foreign) return {};
  Error error = ForeignFileError(foreign->path, foreign->owner).value();
  if (::geteuid() != 0) {
    error.message += RemovalAdvice(name, scope);
    return tl::unexpected(std::move(error));
  }
  const std::string path = LockFilePath(LockFile::kLock, name, scope);
  struct stat info = {};
  // Only a FIFO can be in use as a lock, so anything else needs no claim.
  const bool may_be_used = ::lstat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
  const auto claim = may_be_used ? ClaimLockFile(path) : UniqueFd();
  if (!claim) {
    error.message += claim.error() == ClaimError::kInUse
                         ? ": an exporter of that user is running, so use another --lock.name"
                         : RemovalAdvice(name, scope);
    return tl::unexpected(std::move(error));
  }
  if (action == ForeignFiles::kRemove) RemoveFiles(name, scope);
  return {};
}

// A file with holes, as older versions created.
bool IsSparse(const struct stat& info) {
  constexpr off_t kBlockBytes = 512;  // the unit of st_blocks on every file system
  return info.st_blocks * kBlockBytes < info.st_size;
}

// Sets the size and allocates every page. Otherwise a process that writes to a mapped hole dies of
// SIGBUS when /dev/shm is full, and every user can fill it.
Status Allocate(int fd, const std::string& path, off_t bytes) {
  if (bytes == 0) return {};
  do {
    errno = ::posix_fallocate(fd, 0, bytes);
  } while (errno == EINTR);
  if (errno != 0) return ErrnoError("allocating " + path);
  return {};
}

// A complete file that has no name yet. `path` is for error messages.
Result<UniqueFd> CreateUnnamedFile(const std::string& path, std::span<const std::byte> content,
                                   off_t bytes) {
  UniqueFd fd(::open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, kMode));
  if (!fd) return ErrnoError("creating " + path);
  // open(2) applies the umask to the mode.
  if (::fchmod(fd.get(), kMode) != 0) return ErrnoError("setting the mode of " + path);
  if (Status status = Allocate(fd.get(), path, bytes); !status) {
    return tl::unexpected(std::move(status.error()));
  }
  const ssize_t written = ::write(fd.get(), content.data(), content.size());
  if (written != static_cast<ssize_t>(content.size())) return ErrnoError("writing " + path);
  return fd;
}

// Links a file only when it is complete. Boost would create the file under a temporary name and
// link it to `path`. If it is killed before it removes the temporary name, that second link makes
// IsLinked return true for a deleted file.
Status MakeRegularFile(const std::string& path, std::span<const std::byte> content, off_t bytes) {
  const auto fd = CreateUnnamedFile(path, content, bytes);
  if (!fd) return tl::unexpected(fd.error());
  const std::string unnamed = "/proc/self/fd/" + std::to_string(fd->get());
  if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return ErrnoError("linking " + path);
  }
  return {};
}

// What glibc's sem_open writes into a new file: an unlocked process-shared semaphore.
Status MakeMutex(const std::string& path) {
  sem_t semaphore = {};
  if (::sem_init(&semaphore, 1, 1) != 0) return ErrnoError("sem_init");
  return MakeRegularFile(path, std::as_bytes(std::span(&semaphore, 1)), sizeof semaphore);
}

Status MakeFifo(const std::string& path) {
  if (::mkfifo(path.c_str(), kMode) != 0) return ErrnoError("creating " + path);
  // mkfifo(3) applies the umask to the mode.
  if (::chmod(path.c_str(), kMode) != 0) return ErrnoError("setting the mode of " + path);
  return {};
}

Status MakeFile(LockFile file, const std::string& path) {
  if (file == LockFile::kLock) return MakeFifo(path);
  if (file == LockFile::kWakeup) return MakeMutex(path);
  return MakeRegularFile(path, {}, SizeOf(file));
}

// Another supervisor may create, replace or delete the same file at the same time, and the users of
// a deleted file notice that. So this checks again after each step. Supervisors do so only when
// they start, end or repair the lock: after ten rounds something else must be changing the file.
Status EnsureFile(LockFile file, const std::string& name, LockScope scope) {
  constexpr int kRounds = 10;
  const std::string path = LockFilePath(file, name, scope);
  Status created;
  for (int round = 0; round < kRounds; ++round) {
    struct stat info = {};
    if (::lstat(path.c_str(), &info) != 0) {
      if (errno != ENOENT) return ErrnoError(path);
      created = MakeFile(file, path);
      continue;
    }
    if (info.st_uid != ::geteuid()) return ForeignFileError(path, info.st_uid);
    if (IsWellFormed(file, info)) {
      if (!IsSparse(info)) return {};
      const auto fd = OpenLockFile(file, name, scope, O_RDWR);
      if (fd) return Allocate(fd->get(), path, SizeOf(file));
      created = tl::unexpected(fd.error());
      continue;
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("replacing " + path);
  }
  return created ? MakeError(path + " keeps changing") : created;
}

// Fails as EnsureFile would, as far as that shows without changing a file. Returns the file, or one
// without a name in its place: together they need as much space as those of a start.
Result<UniqueFd> CheckFile(LockFile file, const std::string& name, LockScope scope) {
  const std::string path = LockFilePath(file, name, scope);
  struct stat info = {};
  const bool exists = ::lstat(path.c_str(), &info) == 0;
  if (!exists && errno != ENOENT) return ErrnoError(path);
  if (exists && info.st_uid == ::geteuid() && IsWellFormed(file, info)) {
    auto fd = OpenLockFile(file, name, scope, O_RDWR);
    if (!fd || !IsSparse(info)) return fd;
  }
  return CreateUnnamedFile(path, {}, SizeOf(file));
}

}  // namespace

bool IsValidLockName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxLockNameBytes && !name.starts_with("sem.") &&
         HasOnlyAlnumOr(name, "._-");
}

std::string WakeupMutexName(const std::string& name, LockScope scope) {
  return name + "@" + std::string(Name(scope));
}

std::string LockFilePath(LockFile file, const std::string& name, LockScope scope) {
  return std::string(kDirectory) + (file == LockFile::kWakeup ? "/sem." : "/") +
         WakeupMutexName(name, scope) + (file == LockFile::kHolders ? "-holders.2" : "");
}

Status CreateLockFiles(const std::string& name, LockScope scope) {
  if (!IsValidLockName(name)) {
    return MakeError("not a valid lock name: " + QuoteText(name, kMaxLockNameBytes));
  }
  Status status = RefuseDirectories(name, scope);
  if (status) status = HandleForeignFiles(name, scope, ForeignFiles::kRemove);
  if (!status) return status;
  for (const LockFile file : kLockFiles) {
    status = EnsureFile(file, name, scope);
    if (status) continue;
    RemoveUnusedLockFiles(name, scope);
    return status;
  }
  return {};
}

Status CheckLockFiles(const std::string& name, LockScope scope) {
  Status status = RefuseDirectories(name, scope);
  if (status) status = HandleForeignFiles(name, scope, ForeignFiles::kCheck);
  std::vector<Result<UniqueFd>> files;
  for (const LockFile file : kLockFiles) {
    if (!status) break;
    files.push_back(CheckFile(file, name, scope));
    if (!files.back()) status = tl::unexpected(files.back().error());
  }
  return status;
}

void RemoveUnusedLockFiles(const std::string& name, LockScope scope) {
  if (FindForeignFile(name, scope)) return;
  const auto claim = ClaimLockFile(LockFilePath(LockFile::kLock, name, scope));
  if (claim) RemoveFiles(name, scope);
}

Result<UniqueFd> OpenLockFile(LockFile file, const std::string& name, LockScope scope,
                              int open_flags, int lowest_fd) {
  const std::string path = LockFilePath(file, name, scope);
  // O_NONBLOCK: opening a FIFO for reading would wait for a writer.
  UniqueFd fd(::open(path.c_str(), open_flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError(path);
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) return ErrnoError(path);
  if (info.st_uid != ::geteuid()) return ForeignFileError(path, info.st_uid);
  if (!IsWellFormed(file, info)) {
    return MakeError(path + " has an unexpected type, mode, size or number of hard links");
  }
  if (fd.get() >= lowest_fd) return fd;
  UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, lowest_fd));
  if (!moved) return ErrnoError("duplicating the descriptor of " + path);
  return moved;
}

bool PathRefersTo(const std::string& path, int fd) {
  struct stat by_path = {};
  struct stat by_fd = {};
  return ::lstat(path.c_str(), &by_path) == 0 && ::fstat(fd, &by_fd) == 0 &&
         by_path.st_dev == by_fd.st_dev && by_path.st_ino == by_fd.st_ino;
}

bool IsLinked(int fd) {
  struct stat info = {};
  return ::fstat(fd, &info) == 0 && info.st_nlink > 0;
}

}  // namespace iperf3_exporter
