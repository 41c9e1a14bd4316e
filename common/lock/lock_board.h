// Who holds which slot, for /lock-status; also when that is another exporter. It
// informs. Nobody decides by it.
//
// A record is in a file that every worker can write; what is read is checked and
// cleaned, however it was torn, forged or cut off. Whether its writer still holds is
// asked of the kernel, not of a pid: a holder locks the byte of the mutex's file whose
// offset is the record's own time stamp, and that lock dies with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/lock/board_memory.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

struct LockHolder {
  // False: somebody holds the slot, but has not (or not rightly) said who; the rest is
  // empty then.
  bool identified = false;
  bool ours = false;  // a worker of the process that reads
  std::uint32_t exporter_pid = 0;
  std::uint32_t worker_pid = 0;
  std::string target;  // at most 253 bytes of letters, digits and . - _ : % ? [ ]
  std::uint16_t port = 0;
  std::chrono::system_clock::time_point since;
};

// Supervisor side. Never takes a lock, so it may be kept open by anybody. One descriptor
// per slot and one more, all read-only.
class LockBoard {
 public:
  [[nodiscard]] static Result<LockBoard> Open(const std::string& name, std::uint32_t slots);

  [[nodiscard]] std::uint32_t slots() const;

  // Empty: nobody holds the slot. Does not block; a few system calls, no path.
  [[nodiscard]] std::optional<LockHolder> Read(std::uint32_t slot) const;

  // Times that a slot was taken over from the dead, by any exporter, since the board was
  // made; 0 if it can't be read.
  [[nodiscard]] std::uint64_t recoveries() const;

  // Whether a file of the lock has been deleted or replaced since Open: then call
  // CreateLockObjects, open a new board, and have the workers open new tables. One stat
  // by path per slot.
  [[nodiscard]] bool ObjectsGone() const;

 private:
  LockBoard() = default;

  std::string name_;
  BoardFile file_;
  std::vector<UniqueFd> mutex_files_;
};

}  // namespace iperf3_exporter
