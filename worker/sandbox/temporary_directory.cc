#include "worker/sandbox/temporary_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "worker/sandbox/identity.h"

namespace iperf3_exporter {
namespace {

// A buffer file of 1 MiB for each of 256 streams, with a margin in bytes and inodes.
constexpr const char* kMountBytes = "300m";
constexpr const char* kMountInodes = "640";

constexpr std::string_view kNamePrefix = "iperf3_exporter.";

constexpr std::array kParents = {"/tmp", "/var/tmp", "/dev/shm"};

// Cleaning up must not delay the start, for which the supervisor waits 5 s. A killed worker may
// have left many files, and /tmp may have many other entries.
constexpr std::chrono::seconds kMaxCleanupTime{1};

Directory OpenDirectory(int parent, const char* name) {
  UniqueFd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  Directory directory(fd ? ::fdopendir(fd.get()) : nullptr);
  if (directory) static_cast<void>(fd.Release());
  return directory;
}

// Calls `visit` with the name of each entry that is not a directory. Stops when
// `visit` returns false.
template <typename Visit>
void ForEachFile(DIR* directory, Visit visit) {
  ::rewinddir(directory);
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_type != DT_DIR && !visit(entry->d_name)) return;
  }
}

void RemoveFilesIn(DIR* directory, Deadline until) {
  bool removed = false;
  // Removing files during a listing can make it skip others.
  do {
    removed = false;
    ForEachFile(directory, [&](const char* name) {
      removed |= ::unlinkat(::dirfd(directory), name, 0) == 0;
      return Clock::now() < until;
    });
  } while (removed && Clock::now() < until);
}

bool IsMountedNoExec(const char* path) {
  struct statvfs status = {};
  return ::statvfs(path, &status) == 0 && (status.f_flag & ST_NOEXEC) != 0;
}

bool IsOfWorkers(uid_t owner) {
  const uid_t user = ::geteuid();
  const bool is_of_worker = owner >= kFirstWorkerUid && owner < kFirstWorkerUid + kWorkerUids;
  return owner == user || (user == 0 && is_of_worker);
}

// Takes the lock that marks a directory as in use. Returns false if another worker holds it.
bool TryMarkInUse(DIR* directory) { return ::flock(::dirfd(directory), LOCK_EX | LOCK_NB) == 0; }

void RemoveIfAbandoned(int parent, const char* name, Deadline until) {
  const Directory directory = OpenDirectory(parent, name);
  struct stat status = {};
  if (!directory || ::fstat(::dirfd(directory.get()), &status) != 0) return;
  if (!IsOfWorkers(status.st_uid) || !TryMarkInUse(directory.get())) return;
  RemoveFilesIn(directory.get(), until);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

bool CreateTmpfs(int context) {
  return ::fsconfig(context, FSCONFIG_SET_STRING, "size", kMountBytes, 0) == 0 &&
         ::fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", kMountInodes, 0) == 0 &&
         ::fsconfig(context, FSCONFIG_SET_STRING, "mode", "1777", 0) == 0 &&
         ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
}

}  // namespace

bool ExceedsQuota(DIR* directory) {
  constexpr std::uint64_t kBlockBytes = 512;  // the unit of st_blocks on every file system
  unsigned files = 0;
  std::uint64_t bytes = 0;
  ForEachFile(directory, [&](const char* name) {
    struct stat status = {};
    if (::fstatat(::dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) != 0) return true;
    bytes += static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
    return ++files <= kQuotaFiles && bytes <= kQuotaTotalBytes;
  });
  return files > kQuotaFiles || bytes > kQuotaTotalBytes;
}

void RemoveAbandonedDirectories(const char* parent, Deadline until) {
  const Directory listing(::opendir(parent));
  if (!listing) return;
  while (const dirent* entry = ::readdir(listing.get())) {
    if (Clock::now() >= until) return;
    if (std::string_view(entry->d_name).starts_with(kNamePrefix)) {
      RemoveIfAbandoned(::dirfd(listing.get()), entry->d_name, until);
    }
  }
}

void RemoveAbandonedDirectories() {
  const Deadline until = Clock::now() + kMaxCleanupTime;
  for (const char* parent : kParents) RemoveAbandonedDirectories(parent, until);
}

Result<TemporaryDirectory> TemporaryDirectory::CreateMount() {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) return ErrnoError("temporary directory: fsopen");
  if (!CreateTmpfs(context.get())) return ErrnoError("temporary directory: fsconfig");
  TemporaryDirectory result;
  result.mount_.Reset(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                                MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!result.mount_) return ErrnoError("temporary directory: fsmount");
  // The mount is detached, so it can be reached only through its descriptor.
  result.path_ = "/proc/self/fd/" + std::to_string(result.mount_.get());
  result.directory_ = OpenDirectory(result.mount_.get(), ".");
  if (!result.directory_) return ErrnoError("temporary directory: open");
  if (::access(result.path_.c_str(), W_OK) != 0) return ErrnoError(result.path_);
  return result;
}

Result<TemporaryDirectory> TemporaryDirectory::CreatePrivate() {
  for (const bool wants_noexec : {true, false}) {
    for (const char* parent : kParents) {
      if (IsMountedNoExec(parent) != wants_noexec) continue;
      TemporaryDirectory result;
      if (result.CreateIn(parent)) return result;
    }
  }
  return MakeError("temporary directory: cannot create one in /tmp, /var/tmp or /dev/shm");
}

bool TemporaryDirectory::CreateIn(const char* parent) {
  path_ = std::string(parent) + '/' + std::string(kNamePrefix) + "XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) return false;
  directory_ = OpenDirectory(AT_FDCWD, path_.c_str());
  struct stat status = {};
  // Another worker that starts now may have removed it as abandoned.
  return directory_ && TryMarkInUse(directory_.get()) && ::fstat(directory_fd(), &status) == 0 &&
         status.st_nlink != 0;
}

bool TemporaryDirectory::IsNoExec() const { return IsMountedNoExec(path_.c_str()); }

TemporaryDirectory::~TemporaryDirectory() {
  if (!directory_ || mount_) return;
  Clean();
  ::unlinkat(AT_FDCWD, path_.c_str(), AT_REMOVEDIR);
}

Result<std::string> TemporaryDirectory::Write(const char* name, std::string_view content) const {
  const UniqueFd file(
      ::openat(directory_fd(), name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR));
  if (!file) return ErrnoError("temporary directory: create");
  if (::write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    return ErrnoError("temporary directory: write");
  }
  return path_ + '/' + name;
}

void TemporaryDirectory::Clean() const { RemoveFilesIn(directory_.get(), Deadline::max()); }

}  // namespace iperf3_exporter
