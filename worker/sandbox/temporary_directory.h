// Where iperf3 creates its stream buffers, which it unlinks at once. A file system of its own if
// the worker may mount one: no path leads there, its size is limited, and it ends with the worker.
// Otherwise a private directory: somebody has to check it while iperf3 runs (ExceedsQuota), the
// worker removes it at its end, and the next workers remove what a killed worker left behind.
#pragma once

#include <cstdint>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// iperf3 has at most one file with a name there, for a moment. More than this is an attempt to fill
// the disk.
inline constexpr unsigned kMaxFiles = 300;
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{300} << 20U;

// Whether an open directory contains more than that. Files without a name don't count, nor do
// directories, which iperf3 can't create. Needs getdents64, lseek and newfstatat, and no path.
[[nodiscard]] bool ExceedsQuota(int directory_fd);

// Removes from `parent_fd`, an open directory whose path is `parent_path`, the private directories
// of this user's workers that have ended. Stops at `until`.
void RemoveAbandonedDirectories(const char* parent_path, int parent_fd, Deadline until);

class TemporaryDirectory {
 public:
  // A detached tmpfs, bounded in size. Needs the right to mount (EnterNamespaces, or root).
  [[nodiscard]] static Result<TemporaryDirectory> CreateMount();

  // A directory of mode 0700 in /tmp, /var/tmp or /dev/shm: the first one that can be written,
  // preferably mounted noexec. For the present user. Removes what killed workers left there, for a
  // second at most.
  [[nodiscard]] static Result<TemporaryDirectory> CreatePrivate();

  TemporaryDirectory() = default;
  TemporaryDirectory(TemporaryDirectory&&) = default;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  // Removes the private directory.
  ~TemporaryDirectory();

  // For TMPDIR.
  [[nodiscard]] std::string Path() const;

  // The descriptor that Path() names, for iperf3 to inherit; -1 if it is a path.
  [[nodiscard]] int inherited_fd() const { return mount_.get(); }

  // The directory itself, and the parent of a private one (otherwise -1).
  [[nodiscard]] int directory_fd() const { return directory_.get(); }
  [[nodiscard]] int parent_fd() const { return parent_.get(); }

  // The directory to check with ExceedsQuota; -1 if the file system itself is limited.
  [[nodiscard]] int watched_fd() const { return mount_ ? -1 : directory_.get(); }

  // Whether nothing in it can be executed or mapped executable.
  [[nodiscard]] bool IsNoExec() const;

  // Removes what iperf3 left there. A few microseconds for each file.
  void Clean() const;

 private:
  // In parent_, which must be open. Returns whether it succeeded.
  [[nodiscard]] bool CreateIn(const char* parent_path);

  UniqueFd mount_;  // keeps the tmpfs alive
  UniqueFd directory_;
  UniqueFd parent_;
  std::string parent_path_;
  std::string name_;
};

}  // namespace iperf3_exporter
