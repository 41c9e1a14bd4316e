// The files that a configuration was read from, so that a change of one is noticed.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

// Larger files are refused.
inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

// Reads a regular file. Blocks; never on a FIFO.
[[nodiscard]] Result<std::string> ReadConfigFile(const std::string& path);

class WatchedFiles {
 public:
  // Reads a file and watches it from now on, also when it can't be read. The file's state is taken
  // before it is read: a change during the read then counts as a later one.
  [[nodiscard]] Result<std::string> Read(const std::string& path);

  // Whether a file that was read has been replaced, written or removed since, or has appeared.
  // Costs one stat(2) for each.
  [[nodiscard]] bool HaveChanged() const;

 private:
  // All zeros: there is no such file.
  struct State {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::pair<std::time_t, long> modified;  // seconds and nanoseconds
    std::pair<std::time_t, long> changed;

    bool operator==(const State&) const = default;
  };

  [[nodiscard]] static State StateOf(const std::string& path);

  std::vector<std::pair<std::string, State>> files_;
};

}  // namespace iperf3_exporter
