// Where iperf3 creates its stream buffers, which it unlinks at once. A file system of its own if
// the worker may mount one: a detached mount, reachable only through its descriptor, of limited
// size. Otherwise a private directory: the worker checks it while iperf3 runs (ExceedsQuota) and
// removes it on exit. The next workers remove what a killed worker left behind, even if they need
// no private directory themselves.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/deadline.h"
#include "common/deleter.h"
#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// The quota of named files in a private directory. iperf3 has at most one there, for a moment, so a
// directory that exceeds it is an attempt to fill the disk. Unlinked files can't be counted.
inline constexpr unsigned kQuotaFiles = 300;
inline constexpr std::uint64_t kQuotaTotalBytes = std::uint64_t{300} << 20U;

using Directory = std::unique_ptr<DIR, Deleter<closedir>>;

// Whether a directory exceeds the quota. Directories don't count: iperf3 can't create any. Needs
// getdents64, lseek and newfstatat, and no path.
[[nodiscard]] bool ExceedsQuota(DIR* directory);

// Removes from the directory `parent` the private directories of workers that have ended: those of
// this user and, for root, of the workers' users. Stops at `until`.
void RemoveAbandonedDirectories(const char* parent, Deadline until);

// The same in every directory in which a worker may have created one. Takes at most a second.
void RemoveAbandonedDirectories();

class TemporaryDirectory {
 public:
  // A detached tmpfs, bounded in size. Needs the right to mount (EnterNamespaces, or root).
  [[nodiscard]] static Result<TemporaryDirectory> CreateMount();

  // A directory of mode 0700 in /tmp, /var/tmp or /dev/shm: the first one that can be written,
  // preferably mounted noexec. Owned by the current user.
  [[nodiscard]] static Result<TemporaryDirectory> CreatePrivate();

  TemporaryDirectory(TemporaryDirectory&&) = default;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  // Removes the private directory.
  ~TemporaryDirectory();

  // For TMPDIR.
  [[nodiscard]] const std::string& path() const { return path_; }

  // The descriptor that path() names, for iperf3 to inherit; -1 for a private directory.
  [[nodiscard]] int inherited_fd() const { return mount_.get(); }

  [[nodiscard]] int directory_fd() const { return ::dirfd(directory_.get()); }

  // The directory to check with ExceedsQuota; nullptr if the file system itself is limited.
  [[nodiscard]] DIR* watched() const { return mount_ ? nullptr : directory_.get(); }

  // Whether nothing in it can be executed or mapped executable.
  [[nodiscard]] bool IsNoExec() const;

  // Creates a file for iperf3 to read, which Clean removes, and returns its path. Fails if there is
  // one of that name.
  [[nodiscard]] Result<std::string> Write(const char* name, std::string_view content) const;

  // Removes what iperf3 left there. A few microseconds for each file.
  void Clean() const;

 private:
  TemporaryDirectory() = default;
  // Returns whether it succeeded.
  [[nodiscard]] bool CreateIn(const char* parent);

  UniqueFd mount_;  // keeps the tmpfs alive
  std::string path_;
  // Opened before the filter, which forbids opening it later.
  Directory directory_;
};

}  // namespace iperf3_exporter
