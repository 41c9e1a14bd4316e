#include "worker/sandbox/temporary_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace iperf3_exporter {
namespace {

// 256 streams with buffers of 1 MiB, with a margin.
constexpr const char* kMountBytes = "300m";
constexpr const char* kMountInodes = "640";

constexpr std::string_view kNamePrefix = "iperf3_exporter.";

constexpr std::array kParents = {"/tmp", "/var/tmp", "/dev/shm"};

// The supervisor waits 5 s for a worker to start. A killed worker may have left any number of
// files, and other programs any number of names.
constexpr std::chrono::seconds kMaxRemoving{1};

// As the kernel writes it for getdents64.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  std::uint8_t type;
  char name[1];
};

// Calls `visit` with the name of each entry that is not a directory, until it returns false.
// Without opendir, which needs a descriptor and memory of its own.
template <typename Visit>
void ForEachFile(int directory, Visit visit) {
  alignas(DirectoryEntry) char entries[4096];
  if (::lseek(directory, 0, SEEK_SET) < 0) return;
  for (;;) {
    const long bytes = ::syscall(SYS_getdents64, directory, entries, sizeof entries);
    if (bytes <= 0) return;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      const char* name = entries + at + offsetof(DirectoryEntry, name);
      if (entry->type != DT_DIR && !visit(name)) return;
      at += entry->bytes;
    }
  }
}

void RemoveFilesIn(int directory, Deadline until) {
  bool removed = false;
  // Removing files during a listing can make it skip others.
  do {
    removed = false;
    ForEachFile(directory, [&](const char* name) {
      removed |= ::unlinkat(directory, name, 0) == 0;
      return Clock::now() < until;
    });
  } while (removed && Clock::now() < until);
}

UniqueFd OpenDirectory(int parent, const char* name) {
  return UniqueFd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool IsMountedNoExec(int directory) {
  struct statvfs status = {};
  return ::fstatvfs(directory, &status) == 0 && (status.f_flag & ST_NOEXEC) != 0;
}

// A directory is in use while its worker holds the lock on it.
bool LockDirectory(int directory) { return ::flock(directory, LOCK_EX | LOCK_NB) == 0; }

void RemoveIfAbandoned(int parent, const char* name, Deadline until) {
  const UniqueFd directory = OpenDirectory(parent, name);
  struct stat status = {};
  if (!directory || ::fstat(directory.get(), &status) != 0 || status.st_uid != ::geteuid()) return;
  if (!LockDirectory(directory.get())) return;
  RemoveFilesIn(directory.get(), until);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

// Empty if the kernel has no random bytes.
std::string RandomName() {
  std::array<unsigned char, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
  std::string name(kNamePrefix);
  for (const unsigned char byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    name += kDigits[byte >> 4U];
    name += kDigits[byte & 0xfU];
  }
  return name;
}

bool Configure(int context) {
  return ::fsconfig(context, FSCONFIG_SET_STRING, "size", kMountBytes, 0) == 0 &&
         ::fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", kMountInodes, 0) == 0 &&
         ::fsconfig(context, FSCONFIG_SET_STRING, "mode", "1777", 0) == 0 &&
         ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
}

}  // namespace

bool ExceedsQuota(int directory_fd) {
  constexpr std::uint64_t kBlockBytes = 512;  // the unit of st_blocks on every file system
  unsigned files = 0;
  std::uint64_t bytes = 0;
  ForEachFile(directory_fd, [&](const char* name) {
    struct stat status = {};
    if (::fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return true;
    bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
    return ++files <= kMaxFiles && bytes <= kMaxFileBytes;
  });
  return files > kMaxFiles || bytes > kMaxFileBytes;
}

void RemoveAbandonedDirectories(const char* parent_path, int parent_fd, Deadline until) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(parent_path), &::closedir);
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (Clock::now() >= until) return;
    if (std::string_view(entry->d_name).substr(0, kNamePrefix.size()) == kNamePrefix) {
      RemoveIfAbandoned(parent_fd, entry->d_name, until);
    }
  }
}

Result<TemporaryDirectory> TemporaryDirectory::CreateMount() {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) return ErrnoError("temporary directory: fsopen");
  if (!Configure(context.get())) return ErrnoError("temporary directory: fsconfig");
  TemporaryDirectory result;
  result.mount_.Reset(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!result.mount_) return ErrnoError("temporary directory: fsmount");
  result.directory_ = OpenDirectory(result.mount_.get(), ".");
  if (!result.directory_) return ErrnoError("temporary directory: open");
  // The only way there is through /proc.
  if (::access(result.Path().c_str(), W_OK) != 0) return ErrnoError(result.Path());
  return result;
}

Result<TemporaryDirectory> TemporaryDirectory::CreatePrivate() {
  const Deadline until = Clock::now() + kMaxRemoving;
  for (const bool wants_noexec : {true, false}) {
    for (const char* parent_path : kParents) {
      TemporaryDirectory result;
      result.parent_.Reset(::open(parent_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!result.parent_ || IsMountedNoExec(result.parent_.get()) != wants_noexec) continue;
      RemoveAbandonedDirectories(parent_path, result.parent_.get(), until);
      if (result.CreateIn(parent_path)) return result;
    }
  }
  return MakeError("temporary directory: none of /tmp, /var/tmp, /dev/shm can be written");
}

bool TemporaryDirectory::CreateIn(const char* parent_path) {
  const std::string name = RandomName();
  if (name.empty() || ::mkdirat(parent_.get(), name.c_str(), S_IRWXU) != 0) return false;
  parent_path_ = parent_path;
  name_ = name;
  directory_ = OpenDirectory(parent_.get(), name.c_str());
  struct stat status = {};
  // Another worker that starts now may have removed it as abandoned.
  return directory_ && LockDirectory(directory_.get()) && ::fstat(directory_.get(), &status) == 0 &&
         status.st_nlink != 0;
}

bool TemporaryDirectory::IsNoExec() const {
  return directory_ && IsMountedNoExec(directory_.get());
}

TemporaryDirectory::~TemporaryDirectory() {
  if (!directory_ || !parent_) return;
  Clean();
  ::unlinkat(parent_.get(), name_.c_str(), AT_REMOVEDIR);
}

std::string TemporaryDirectory::Path() const {
  if (mount_) return "/proc/self/fd/" + std::to_string(mount_.get());
  return parent_path_ + '/' + name_;
}

void TemporaryDirectory::Clean() const {
  if (directory_) RemoveFilesIn(directory_.get(), Deadline::max());
}

}  // namespace iperf3_exporter
