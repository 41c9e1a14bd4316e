// Where iperf3 creates its stream buffers, which it unlinks at once. A file system of its own if
// the worker may mount one: no path leads there, its size is limited, and it ends with the worker.
// Otherwise a private directory: the worker checks it while iperf3 runs (ExceedsQuota) and removes
// it at its end, and the next workers remove what a killed worker left behind.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// iperf3 has at most one file with a name there, for a moment. More than this is an attempt to fill
// the disk.
inline constexpr unsigned kMaxFiles = 300;
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{300} << 20U;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// Whether a directory contains more than that. Files without a name don't count, nor do
// directories, which iperf3 can't create. Needs getdents64, lseek and newfstatat, and no path.
[[nodiscard]] bool ExceedsQuota(DIR* directory);

// Removes from the directory `parent` the private directories of this user's workers that have
// ended. Stops at `until`.
void RemoveAbandonedDirectories(const char* parent, Deadline until);

class TemporaryDirectory {
 public:
  // A detached tmpfs, bounded in size. Needs the right to mount (EnterNamespaces, or root).
  [[nodiscard]] static Result<TemporaryDirectory> CreateMount();

  // A directory of mode 0700 in /tmp, /var/tmp or /dev/shm: the first one that can be written,
  // preferably mounted noexec. For the present user. Removes what killed workers left there, for a
  // second at most.
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

  // Removes what iperf3 left there. A few microseconds for each file.
  void Clean() const;

 private:
  TemporaryDirectory() = default;
  // Returns whether it succeeded.
  [[nodiscard]] bool CreateIn(const char* parent);

  UniqueFd mount_;  // keeps the tmpfs alive
  std::string path_;
  // Open since the start: the filter allows no second descriptor.
  Directory directory_;
};

}  // namespace iperf3_exporter
