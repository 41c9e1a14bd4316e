// The files that a configuration was read from, and whether one of them has changed since.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

// Larger files are refused. 10,000 own tests, each with a few labels, have 3 MB.
inline constexpr std::size_t kMaxConfigBytes = std::size_t{8} << 20;

// Reads a regular file. Blocks; never on a FIFO.
[[nodiscard]] Result<std::string> ReadConfigFile(const std::string& path);

class WatchedFiles {
 public:
  // Reads a file and watches it from now on, also if it cannot be read. Takes the file's state
  // before reading it, so that a change during the read counts as a later one. So does a text of
  // another size than the state's: timestamps are too coarse to show every rewrite.
  [[nodiscard]] Result<std::string> Read(const std::string& path);

  // Whether a file has been replaced, written, removed or created since it was read. Costs one
  // stat(2) per file.
  [[nodiscard]] bool HaveChanged() const;

  // Whether both read the same files in the same state.
  bool operator==(const WatchedFiles&) const = default;

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
