#include "common/lock/lock_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "common/lock/lock_objects.h"
#include "common/lock/lock_slot.h"

namespace iperf3_exporter {

struct LockTable::State {
  LockBoardAccess board;
  std::vector<LockSlot> slots;
};

namespace {

// The mapping alone can write: by a descriptor that can, the file could be made shorter, which
// ends every process that maps it.
Status OpenBoard(LockBoardAccess& board, const std::string& path, std::uint32_t slots) {
  const std::size_t bytes = BoardMemory::Bytes(slots);
  const Result<UniqueFd> writable = OpenLockFile(path, O_RDWR, bytes);
  if (!writable) return tl::unexpected(writable.error());
  Result<BoardMemory> memory = BoardMemory::Map(writable->get(), slots);
  if (!memory) return tl::unexpected(memory.error());
  Result<UniqueFd> readable = OpenLockFile(path, O_RDONLY, bytes, board.lowest_fd);
  if (!readable) return tl::unexpected(readable.error());
  if (!IsSameFile(writable->get(), readable->get())) {
    return MakeError(path + " was replaced while it was being opened");
  }
  board.fd = std::move(*readable);
  board.memory = std::move(*memory);
  return {};
}

}  // namespace

void HeldLock::Release() {
  if (LockSlot* slot = std::exchange(slot_, nullptr)) slot->Release();
}

int HeldLock::tenant_fd() const { return slot_ == nullptr ? -1 : slot_->tenant_fd(); }

LockTable::LockTable(std::unique_ptr<State> state) : state_(std::move(state)) {}
LockTable::LockTable(LockTable&&) noexcept = default;
LockTable& LockTable::operator=(LockTable&&) noexcept = default;
LockTable::~LockTable() = default;

Result<LockTable> LockTable::Open(const std::string& name, std::uint32_t slots, int lowest_fd) {
  if (!IsLockName(name) || slots == 0 || slots > kMaxLockSlots) {
    return MakeError("not a table of locks");
  }
  auto state = std::make_unique<State>();
  LockBoardAccess& board = state->board;
  board.lowest_fd = lowest_fd;
  if (const Status opened = OpenBoard(board, LockBoardPath(name, slots), slots); !opened) {
    return tl::unexpected(opened.error());
  }
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
