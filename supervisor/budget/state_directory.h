// --state.directory: small files that survive a restart and a crash. One exporter at a time uses a
// directory, and only its own user can change what is in it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

class StateDirectory {
 public:
  // Locks the directory for this process, until the object or the process ends. It must exist,
  // belong to this user, and be writable for nobody else. That another process has locked it is a
  // transient error.
  [[nodiscard]] static Result<StateDirectory> Open(const std::string& path);
  // Whether Open would succeed if no other process had locked the directory.
  [[nodiscard]] static Status Check(const std::string& path);

  // The content of a file of at most `max_bytes`; nullopt if there is none. A file of another user,
  // or anything but a file, is an error. `name` contains no slash and does not begin with a dot.
  [[nodiscard]] Result<std::optional<std::string>> Read(const std::string& name,
                                                        std::size_t max_bytes) const;

  // Replaces the file atomically: after a crash of the process or the machine it has the old
  // content or the new one; once Write has succeeded, the new one. Blocks until the content is on
  // the disk.
  [[nodiscard]] Status Write(const std::string& name, std::string_view content) const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  StateDirectory(std::string path, UniqueFd directory)
      : path_(std::move(path)), directory_(std::move(directory)) {}

  std::string path_;
  UniqueFd directory_;
};

}  // namespace iperf3_exporter
