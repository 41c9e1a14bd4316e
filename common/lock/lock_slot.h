// One slot of a LockTable: the steps of taking and of giving back. Internal to the lock;
// the rules are in lock_table.h.
#pragma once

#include <cstdint>

#include "common/lock/board_memory.h"
#include "common/lock/byte_lock.h"
#include "common/lock/doorbell.h"
#include "common/lock/lock_table.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// What every slot of a table shares.
struct LockBoardAccess {
  UniqueFd fd;  // read-only, for HasLink
  BoardMemory memory;
  std::uint64_t pid_namespace = 0;
  std::uint32_t exporter_pid = 0;
  std::uint32_t worker_pid = 0;
  int lowest_fd = 0;  // of every descriptor that the table keeps
};

class LockSlot {
 public:
  // `board` is borrowed and outlives the slot.
  [[nodiscard]] static Result<LockSlot> Open(const std::string& name, std::uint32_t slots,
                                             std::uint32_t slot, LockBoardAccess& board);

  [[nodiscard]] AcquireOutcome Acquire(const LockUse& use, Deadline deadline, int cancel_fd,
                                       bool& recovered);
  void Release();
  [[nodiscard]] int tenant_fd() const { return tenant_.get(); }

 private:
  // How long this acquire may go on, and what its caller asks meanwhile.
  struct Patience {
    Deadline deadline;
    int cancel_fd;
  };
  // Empty: had. Otherwise why not.
  using Refusal = std::optional<AcquireOutcome>;

  LockSlot(UniqueFd file, UniqueFd tenant, Doorbell bell, LockBoardAccess& board,
           std::uint32_t slot);

  Refusal TakeGate(const Patience& patience);
  Refusal TakeWitness(const Patience& patience, bool& recovered);
  Refusal TakeTenancy(const Patience& patience);
  ByteLock TryWitness(bool rang);
  void SignBoard(const LockUse& use);
  // Gives the witness back and tells the next one.
  void PassOn();
  [[nodiscard]] Refusal Ended(const Patience& patience) const;

  UniqueFd file_;    // gate, witness and stamp
  UniqueFd tenant_;  // read-only; the tenant byte
  Doorbell bell_;
  LockBoardAccess* board_;
  std::uint32_t slot_;
  std::int64_t since_ns_ = 0;
};

}  // namespace iperf3_exporter
