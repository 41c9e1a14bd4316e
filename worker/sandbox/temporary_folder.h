// Where iperf3 makes its stream buffers, which it unlinks at once. A file system of its own
// where that can be had: no path leads there, and it goes with the worker. Otherwise a private
// folder, which the worker removes at its end; one that a killed worker left behind, empty, goes
// when the next worker starts.
#pragma once

#include <string>

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

class TemporaryFolder {
 public:
  // A detached tmpfs, bounded in size. Needs the right to mount (EnterNamespaces, or root).
  [[nodiscard]] static Result<TemporaryFolder> CreateMount();

  // A folder of mode 0700 in /tmp, /var/tmp or /dev/shm, the first that lets us; of these, one that
  // is mounted noexec before any other. As the user who will use it.
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

  // Whether nothing in it can be executed, or mapped executable.
  [[nodiscard]] bool IsNoExec() const;

  // Removes what iperf3 left there, if anything. Never blocks.
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
