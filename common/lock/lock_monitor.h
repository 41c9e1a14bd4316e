// The lock as the supervisor sees it: who holds it, also when that is another exporter, and
// whether its files are still there.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/lock/lock_key.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

struct LockHolder {
  LockKey key = kNoLock;
  bool ours = false;  // a worker of the process that reads
  std::uint32_t exporter_pid = 0;
  std::uint32_t worker_pid = 0;
  std::string target;  // at most 256 bytes of letters, digits and . - _ : % ? [ ]
  std::uint16_t port = 0;
  std::chrono::system_clock::time_point since;
};

// Takes no lock and maps nothing. Two descriptors, both read-only.
class LockMonitor {
 public:
  [[nodiscard]] static Result<LockMonitor> Open(const std::string& name, LockScope scope);

  struct Status {
    // One element for each key that is held, at most 256: the kernel says which. nullopt: its
    // holder has not entered itself in the holder table, or not properly.
    std::vector<std::optional<LockHolder>> holders;
    // How often a key was taken over from a holder that had died, by any exporter, since the holder
    // table was created.
    std::uint64_t recoveries = 0;
  };

  // Does not block; a few system calls, no path. Whatever a hostile worker has written, the result
  // is bounded and clean.
  [[nodiscard]] Status Read() const;

  // Whether a file of the lock has been deleted, replaced or damaged since Open: then call
  // CreateLockFiles, open a new monitor, and have the workers open the lock anew.
  [[nodiscard]] bool NeedsRepair() const;

 private:
  LockMonitor(std::string name, LockScope scope, UniqueFd lock, UniqueFd holders)
      : name_(std::move(name)),
        scope_(scope),
        lock_(std::move(lock)),
        holders_(std::move(holders)) {}

  std::string name_;
  LockScope scope_;
  UniqueFd lock_;
  UniqueFd holders_;
};

// Tells the calling process's pid namespace from others of this host; 0 where /proc does not say.
[[nodiscard]] std::uint64_t OwnPidNamespace();

}  // namespace iperf3_exporter
