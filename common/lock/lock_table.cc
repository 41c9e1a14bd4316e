#include "common/lock/lock_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "common/lock/lock_objects.h"
#include "common/lock/lock_slot.h"

namespace iperf3_exporter {

struct LockTable::State {
  LockBoardAccess board;
  std::vector<LockSlot> slots;
};

void HeldLock::Release() {
  if (LockSlot* slot = std::exchange(slot_, nullptr)) slot->Release();
}

int HeldLock::tenant_fd() const { return slot_ == nullptr ? -1 : slot_->tenant_fd(); }

LockTable::LockTable(std::unique_ptr<State> state) : state_(std::move(state)) {}
LockTable::LockTable(LockTable&&) noexcept = default;
LockTable& LockTable::operator=(LockTable&&) noexcept = default;
LockTable::~LockTable() = default;

Result<LockTable> LockTable::Open(const std::string& name, std::uint32_t slots) {
  if (!IsLockName(name) || slots == 0 || slots > kMaxLockSlots) {
    return MakeError("not a table of locks");
  }
  auto state = std::make_unique<State>();
  LockBoardAccess& board = state->board;
  Result<UniqueFd> file =
      OpenLockFile(LockBoardPath(name, slots), O_RDWR, BoardMemory::Bytes(slots));
  if (!file) return tl::unexpected(file.error());
  Result<BoardMemory> memory = BoardMemory::Map(file->get(), slots, true);
  if (!memory) return tl::unexpected(memory.error());
  board.fd = std::move(*file);
  board.memory = std::move(*memory);
  board.pid_namespace = OwnPidNamespace();
  board.exporter_pid = static_cast<std::uint32_t>(::getppid());
  board.worker_pid = static_cast<std::uint32_t>(::getpid());
  state->slots.reserve(slots);
  for (std::uint32_t i = 0; i < slots; ++i) {
    Result<LockSlot> slot = LockSlot::Open(name, slots, i, board);
    if (!slot) return tl::unexpected(slot.error());
    state->slots.push_back(std::move(*slot));
  }
  return LockTable(std::move(state));
}

std::uint32_t LockTable::slots() const { return static_cast<std::uint32_t>(state_->slots.size()); }

AcquireResult LockTable::Acquire(std::uint32_t slot, const LockUse& use, Deadline deadline,
                                 int cancel_fd) {
  const auto start = Clock::now();
  LockSlot& wanted = state_->slots.at(slot);
  AcquireResult result;
  bool recovered = false;
  result.outcome = wanted.Acquire(use, deadline, cancel_fd, recovered);
  if (result.outcome == AcquireOutcome::kAcquired) {
    result.lock = HeldLock(&wanted);
    result.recovered = recovered;
  }
  result.waited = Clock::now() - start;
  return result;
}

}  // namespace iperf3_exporter
