#include "common/lock/lock_objects.h"

#include <fcntl.h>
#include <semaphore.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <span>
#include <vector>

#include "common/lock/board_memory.h"
#include "common/wire/job.h"

namespace iperf3_exporter {
namespace {

constexpr char kDirectory[] = "/dev/shm";  // where glibc has its named semaphores
constexpr mode_t kMode = 0600;             // the exporter's user alone

// Prefix of a table of several slots; its size is part of it, as the slot of a key is
// another one in a table of another size.
std::string Stem(const std::string& name, std::uint32_t slots) {
  return slots == 1 ? name : name + "@" + std::to_string(slots);
}

// Makes `path` with these bytes, whole or not at all: a file without a name, linked when
// it is complete. Boost's own creation can leave a second name behind when killed, which
// would hide the deletion of the first. True: made; false: there already was one.
Result<bool> CreateWhole(const std::string& path, std::span<const std::byte> bytes) {
  if (::access(path.c_str(), F_OK) == 0) return false;
  const UniqueFd fd(::open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, kMode));
  if (!fd) return ErrnoError("creating " + path);
  // The mode again, because open(2) applies the umask.
  if (::fchmod(fd.get(), kMode) != 0) return ErrnoError("mode of " + path);
  const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
  if (written < 0) return ErrnoError("writing " + path);
  if (static_cast<std::size_t>(written) != bytes.size()) return MakeError("writing " + path);
  const std::string unnamed = "/proc/self/fd/" + std::to_string(fd.get());
  if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return true;
  }
  if (errno == EEXIST) return false;
  return ErrnoError("linking " + path);
}

// All that OpenLockFile asks for, but the size.
Result<UniqueFd> OpenOwnFile(const std::string& path, int open_flags) {
  // O_NONBLOCK: a pipe that somebody put there must not hold us up.
  UniqueFd fd(::open(path.c_str(), open_flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno != EACCES) return ErrnoError(path);
  struct stat info = {};
  const int error = fd ? ::fstat(fd.get(), &info) : ::lstat(path.c_str(), &info);
  if (error != 0) return ErrnoError(path);
  if (info.st_uid != ::geteuid()) {
    return MakeError(path + " belongs to user " + std::to_string(info.st_uid) + ", not to user " +
                     std::to_string(::geteuid()) + " of this exporter: use another --lock.name");
  }
  if (!fd) return MakeError(ErrnoText(path, EACCES));
  if (!S_ISREG(info.st_mode)) return MakeError(path + " is not a regular file");
  if ((info.st_mode & 07777) != kMode) return MakeError(path + " does not have mode 0600");
  if (info.st_nlink > 1) return MakeError(path + " has a second name (a hard link)");
  return fd;
}

bool HasSize(int fd, std::size_t bytes) {
  struct stat info = {};
  return ::fstat(fd, &info) == 0 && static_cast<std::size_t>(info.st_size) == bytes;
}

// Unlinks what is ours but of another size. The lock on the file is for several that do this at
// once: the second one must not unlink what the first one has made in its place.
void RemoveMisshapen(const std::string& path, std::size_t bytes) {
  const Result<UniqueFd> file = OpenOwnFile(path, O_RDONLY);
  if (!file || HasSize(file->get(), bytes)) return;
  if (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) return;
  const Result<UniqueFd> named = OpenOwnFile(path, O_RDONLY);
  if (named && IsSameFile(file->get(), named->get())) ::unlink(path.c_str());
}

// Makes it if it is missing or misshapen, and checks what is there. The same file may be deleted in
// between by somebody else: a few rounds. Gives whether it made one.
Result<bool> Ensure(const std::string& path, std::span<const std::byte> bytes) {
  constexpr int kRounds = 5;
  constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 1'000'000};
  for (int round = 1;; ++round) {
    if (round > 1) ::nanosleep(&kPause, nullptr);
    RemoveMisshapen(path, bytes.size());
    Result<bool> made = CreateWhole(path, bytes);
    if (!made) return made;
    const Result<UniqueFd> file = OpenLockFile(path, O_RDWR, bytes.size());
    if (file) return made;
    if (round == kRounds) return tl::unexpected(file.error());
  }
}

// What glibc's sem_open writes into a new file: an unlocked process-shared semaphore.
Result<sem_t> UnlockedMutex() {
  sem_t semaphore = {};
  if (::sem_init(&semaphore, 1, 1) != 0) return ErrnoError("sem_init");
  return semaphore;
}

Status CheckTable(const std::string& name, std::uint32_t slots) {
  if (!IsLockName(name)) return MakeError("not a name for a lock");
  if (slots == 0 || slots > kMaxLockSlots) return MakeError("not a number of lock slots");
  return {};
}

}  // namespace

bool IsLockName(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxLockNameBytes && std::ranges::all_of(name, is_allowed);
}

std::uint32_t SlotForKey(std::string_view key, std::uint32_t slots) {
  // FNV-1a, 64 bits (RFC draft-eastlake-fnv), folded so that every bit counts.
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : key) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211U;
  }
  return static_cast<std::uint32_t>((hash ^ (hash >> 32)) & UINT32_MAX) % slots;
}

Result<std::uint32_t> CreateLockObjects(const std::string& name, std::uint32_t slots) {
  if (const Status valid = CheckTable(name, slots); !valid) return tl::unexpected(valid.error());
  const Result<sem_t> mutex = UnlockedMutex();
  if (!mutex) return tl::unexpected(mutex.error());
  std::uint32_t created = 0;
  const auto ensure = [&created](const std::string& path, std::span<const std::byte> bytes) {
    Result<bool> made = Ensure(path, bytes);
    if (made && *made) ++created;
    return made;
  };
  const std::vector<std::byte> empty_board(BoardMemory::Bytes(slots));
  if (const auto made = ensure(LockBoardPath(name, slots), empty_board); !made) {
    return tl::unexpected(made.error());
  }
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    const auto made =
        ensure(LockMutexPath(name, slots, slot), std::as_bytes(std::span(&*mutex, 1)));
    if (!made) return tl::unexpected(made.error());
  }
  return created;
}

std::string LockMutexName(const std::string& name, std::uint32_t slots, std::uint32_t slot) {
  return slots == 1 ? name : Stem(name, slots) + "-" + std::to_string(slot);
}

std::string LockMutexPath(const std::string& name, std::uint32_t slots, std::uint32_t slot) {
  return std::string(kDirectory) + "/sem." + LockMutexName(name, slots, slot);
}

std::string LockBoardPath(const std::string& name, std::uint32_t slots) {
  return std::string(kDirectory) + "/" +
         (slots == 1 ? name + "@board" : Stem(name, slots) + "-board");
}

Result<UniqueFd> OpenLockFile(const std::string& path, int open_flags, std::size_t bytes,
                              int lowest_fd) {
  Result<UniqueFd> fd = OpenOwnFile(path, open_flags);
  if (!fd) return fd;
  if (!HasSize(fd->get(), bytes)) {
    return MakeError(path + " has another size than this exporter's: delete it");
  }
  if (fd->get() >= lowest_fd) return fd;
  UniqueFd moved(::fcntl(fd->get(), F_DUPFD_CLOEXEC, lowest_fd));
  if (!moved) return ErrnoError("descriptor of " + path);
  return moved;
}

bool IsSameFile(int fd, int other_fd) {
  struct stat first = {};
  struct stat second = {};
  return ::fstat(fd, &first) == 0 && ::fstat(other_fd, &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool HasLink(int fd) {
  struct stat info = {};
  return ::fstat(fd, &info) == 0 && info.st_nlink > 0;
}

std::uint64_t OwnPidNamespace() {
  struct stat info = {};
  return ::stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

}  // namespace iperf3_exporter
