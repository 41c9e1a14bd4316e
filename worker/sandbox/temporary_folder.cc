#include "worker/sandbox/temporary_folder.h"

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

// 256 streams with buffers of 1 MiB, and some.
constexpr const char* kMountBytes = "300m";
constexpr const char* kMountInodes = "640";

constexpr std::string_view kNamePrefix = "iperf3_exporter.";

constexpr std::array kParents = {"/tmp", "/var/tmp", "/dev/shm"};

// The supervisor waits 5 s for a worker that starts; who started before may have left any number of
// files, and others of the host any number of names.
constexpr std::chrono::seconds kMostRemoving{1};

// As the kernel writes it for getdents64.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  std::uint8_t type;
  char name[1];
};

// Calls `visit` with the name of each entry that is no folder, until it says false. Not by opendir,
// which needs a descriptor and memory of its own.
template <typename Visit>
void ForEachFile(int folder, Visit visit) {
  alignas(DirectoryEntry) char entries[4096];
  if (::lseek(folder, 0, SEEK_SET) < 0) return;
  for (;;) {
    const long bytes = ::syscall(SYS_getdents64, folder, entries, sizeof entries);
    if (bytes <= 0) return;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      const char* name = entries + at + offsetof(DirectoryEntry, name);
      if (entry->type != DT_DIR && !visit(name)) return;
      at += entry->bytes;
    }
  }
}

void RemoveFilesIn(int folder, Deadline until) {
  bool removed = false;
  // A listing may leave out what moved while others were removed.
  do {
    removed = false;
    ForEachFile(folder, [&](const char* name) {
      removed |= ::unlinkat(folder, name, 0) == 0;
      return Clock::now() < until;
    });
  } while (removed && Clock::now() < until);
}

UniqueFd OpenFolder(int parent, const char* name) {
  return UniqueFd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool IsMountedNoExec(int folder) {
  struct statvfs status = {};
  return ::fstatvfs(folder, &status) == 0 && (status.f_flag & ST_NOEXEC) != 0;
}

// A folder is in use while its worker holds the lock on it.
bool LockFolder(int folder) { return ::flock(folder, LOCK_EX | LOCK_NB) == 0; }

void RemoveIfAbandoned(int parent, const char* name, Deadline until) {
  const UniqueFd folder = OpenFolder(parent, name);
  struct stat status = {};
  if (!folder || ::fstat(folder.get(), &status) != 0 || status.st_uid != ::geteuid()) return;
  if (!LockFolder(folder.get())) return;
  RemoveFilesIn(folder.get(), until);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

// Empty when the kernel gives no random bytes.
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

bool HoldsTooMuch(int folder_fd) {
  constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system's are
  unsigned files = 0;
  std::uint64_t bytes = 0;
  ForEachFile(folder_fd, [&](const char* name) {
    struct stat status = {};
    if (::fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return true;
    bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
    return ++files <= kMostFiles && bytes <= kMostFileBytes;
  });
  return files > kMostFiles || bytes > kMostFileBytes;
}

void RemoveAbandonedFolders(const char* parent_path, int parent_fd, Deadline until) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(parent_path), &::closedir);
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (Clock::now() >= until) return;
    if (std::string_view(entry->d_name).substr(0, kNamePrefix.size()) == kNamePrefix) {
      RemoveIfAbandoned(parent_fd, entry->d_name, until);
    }
  }
}

Result<TemporaryFolder> TemporaryFolder::CreateMount() {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) return ErrnoError("temporary folder: fsopen");
  if (!Configure(context.get())) return ErrnoError("temporary folder: fsconfig");
  TemporaryFolder result;
  result.mount_.Reset(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!result.mount_) return ErrnoError("temporary folder: fsmount");
  result.folder_ = OpenFolder(result.mount_.get(), ".");
  if (!result.folder_) return ErrnoError("temporary folder: open");
  // iperf3 gets there through /proc only.
  if (::access(result.Path().c_str(), W_OK) != 0) return ErrnoError(result.Path());
  return result;
}

Result<TemporaryFolder> TemporaryFolder::CreatePrivate() {
  const Deadline until = Clock::now() + kMostRemoving;
  for (const bool wants_noexec : {true, false}) {
    for (const char* parent_path : kParents) {
      TemporaryFolder result;
      result.parent_.Reset(::open(parent_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!result.parent_ || IsMountedNoExec(result.parent_.get()) != wants_noexec) continue;
      RemoveAbandonedFolders(parent_path, result.parent_.get(), until);
      if (result.MakeFolder(parent_path)) return result;
    }
  }
  return MakeError("temporary folder: none of /tmp, /var/tmp, /dev/shm can be written");
}

bool TemporaryFolder::MakeFolder(const char* parent_path) {
  const std::string name = RandomName();
  if (name.empty() || ::mkdirat(parent_.get(), name.c_str(), S_IRWXU) != 0) return false;
  parent_path_ = parent_path;
  name_ = name;
  folder_ = OpenFolder(parent_.get(), name.c_str());
  struct stat status = {};
  // Another worker that just starts may have taken it for abandoned.
  return folder_ && LockFolder(folder_.get()) && ::fstat(folder_.get(), &status) == 0 &&
         status.st_nlink != 0;
}

bool TemporaryFolder::IsNoExec() const { return folder_ && IsMountedNoExec(folder_.get()); }

TemporaryFolder::~TemporaryFolder() {
  if (!folder_ || !parent_) return;
  Clean();
  ::unlinkat(parent_.get(), name_.c_str(), AT_REMOVEDIR);
}

std::string TemporaryFolder::Path() const {
  if (mount_) return "/proc/self/fd/" + std::to_string(mount_.get());
  return parent_path_ + '/' + name_;
}

void TemporaryFolder::Clean() const {
  if (folder_) RemoveFilesIn(folder_.get(), Deadline::max());
}

}  // namespace iperf3_exporter
