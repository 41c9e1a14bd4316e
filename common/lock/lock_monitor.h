// The lock as the supervisor sees it: who holds it, in any exporter, and whether its files still
// exist.
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
  bool ours = false;  // a worker of the calling process
  std::uint32_t exporter_pid = 0;
  std::uint32_t worker_pid = 0;
  std::string target;  // at most 256 bytes of letters, digits and . - _ : % ? [ ]
  std::uint16_t port = 0;
  std::chrono::nanoseconds held_for{0};  // until the table was read
};

// Keeps other exporters from removing the files, takes no key and maps nothing. Two descriptors,
// both read-only.
class LockMonitor {
 public:
  // Opens the files of CreateLockFiles. Fails with Error::is_transient if another exporter, which
  // ends, is removing them: create them again.
  [[nodiscard]] static Result<LockMonitor> Open(const std::string& name, LockScope scope);

  // Creates the files and opens them.
  [[nodiscard]] static Result<LockMonitor> Create(const std::string& name, LockScope scope);

  struct Status {
    // One element for each key that is held according to the kernel, at most 256. nullopt: its
    // holder has no valid record in the holder table.
    std::vector<std::optional<LockHolder>> holders;
    // How often any exporter acquired a key whose holder had died, since the holder table was
    // created.
    std::uint64_t recoveries = 0;
  };

  // Does not block; a few system calls, no path. Whatever a hostile worker has written, the result
  // is bounded and clean.
  [[nodiscard]] Status Read() const;

  // Whether a file of the lock has been deleted, replaced or damaged since Open. If so, call
  // CreateLockFiles, open a new monitor, and restart the workers.
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

// Identifies the calling process's pid namespace on this host; 0 if /proc does not tell.
[[nodiscard]] std::uint64_t OwnPidNamespace();

}  // namespace iperf3_exporter
