// Where iperf3 makes its stream buffers, which it unlinks at once. A file system of its own
// where that can be had: no path leads there, it is bounded, and it goes with the worker. Otherwise
// a private folder, which somebody has to watch while iperf3 runs (HoldsTooMuch), and which the
// worker removes at its end; what a killed worker left behind goes when others start.
#pragma once

#include <cstdint>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// iperf3 has at most one file there that has a name, for a moment. More than this of either is an
// attempt to fill the disk.
inline constexpr unsigned kMostFiles = 300;
inline constexpr std::uint64_t kMostFileBytes = std::uint64_t{300} << 20U;

// Whether a folder that is open as `folder_fd` holds more than that. Files without a name don't
// count, nor do folders, which iperf3 can't make. Needs getdents64, lseek and newfstatat, no path.
[[nodiscard]] bool HoldsTooMuch(int folder_fd);

// Removes from `parent_fd`, an open folder whose path is `parent_path`, the private folders of
// workers of this user that no longer live. What is left at `until` stays for the next to come.
void RemoveAbandonedFolders(const char* parent_path, int parent_fd, Deadline until);

class TemporaryFolder {
 public:
  // A detached tmpfs, bounded in size. Needs the right to mount (EnterNamespaces, or root).
  [[nodiscard]] static Result<TemporaryFolder> CreateMount();

  // A folder of mode 0700 in /tmp, /var/tmp or /dev/shm, the first that lets us; of these, one that
  // is mounted noexec before any other. As the user who will use it. What killed workers left there
  // is removed, for a second at most, whatever is in the way.
  [[nodiscard]] static Result<TemporaryFolder> CreatePrivate();

  TemporaryFolder() = default;
  TemporaryFolder(TemporaryFolder&&) = default;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  // Removes the private folder.
  ~TemporaryFolder();

  // For TMPDIR.
  [[nodiscard]] std::string Path() const;

  // The descriptor that Path() names and that iperf3 must inherit; -1 if it is a path.
  [[nodiscard]] int inherited_fd() const { return mount_.get(); }

  // The folder itself, and the one that a private folder lies in (otherwise -1).
  [[nodiscard]] int folder_fd() const { return folder_.get(); }
  [[nodiscard]] int parent_fd() const { return parent_.get(); }

  // What HoldsTooMuch is to look at; -1 for what is bounded by itself.
  [[nodiscard]] int watched_fd() const { return mount_ ? -1 : folder_.get(); }

  // Whether nothing in it can be executed, or mapped executable.
  [[nodiscard]] bool IsNoExec() const;

  // Removes what iperf3 left there, if anything: a few microseconds for each file.
  void Clean() const;

 private:
  // In parent_, which must be open. False: not to be had.
  [[nodiscard]] bool MakeFolder(const char* parent_path);

  UniqueFd mount_;  // keeps the tmpfs alive
  UniqueFd folder_;
  UniqueFd parent_;
  std::string parent_path_;
  std::string name_;
};

}  // namespace iperf3_exporter
