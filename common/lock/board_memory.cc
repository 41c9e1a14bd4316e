#include "common/lock/board_memory.h"

#include <sys/mman.h>

#include <bit>
#include <utility>

namespace iperf3_exporter {
namespace {

constexpr std::size_t kRecordWords = sizeof(BoardRecord) / sizeof(std::uint64_t);

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(std::uint64_t));
static_assert(std::is_trivially_copyable_v<BoardRecord>);

}  // namespace

struct BoardMemory::Cell {
  Word sequence;  // odd while the words are being written
  std::array<Word, kRecordWords> words;
};

// What precedes the cells, one per slot. All zero, as a new file is, is an empty board.
struct BoardMemory::Header {
  Word recoveries;
};

BoardMemory::BoardMemory(BoardMemory&& other) noexcept
    : header_(std::exchange(other.header_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

BoardMemory& BoardMemory::operator=(BoardMemory&& other) noexcept {
  std::swap(header_, other.header_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

BoardMemory::~BoardMemory() {
  if (header_ != nullptr) ::munmap(header_, bytes_);
}

std::size_t BoardMemory::Bytes(std::uint32_t slots) {
  return sizeof(Header) + slots * sizeof(Cell);
}

Result<BoardMemory> BoardMemory::Map(int fd, std::uint32_t slots, bool writable) {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* mapping = ::mmap(nullptr, Bytes(slots), protection, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) return ErrnoError("mmap of the lock's board");
  BoardMemory memory;
  memory.header_ = static_cast<Header*>(mapping);
  memory.bytes_ = Bytes(slots);
  return memory;
}

BoardMemory::Cell* BoardMemory::cells() const { return reinterpret_cast<Cell*>(header_ + 1); }

void BoardMemory::Write(std::uint32_t slot, const BoardRecord& record) {
  const auto words = std::bit_cast<std::array<std::uint64_t, kRecordWords>>(record);
  Cell& cell = cells()[slot];
  const std::uint64_t writing = (cell.sequence.load(std::memory_order_relaxed) + 1) | 1;
  cell.sequence.store(writing, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t i = 0; i < kRecordWords; ++i) {
    cell.words[i].store(words[i], std::memory_order_relaxed);
  }
  cell.sequence.store(writing + 1, std::memory_order_release);
}

std::optional<BoardRecord> BoardMemory::Read(std::uint32_t slot) const {
  constexpr int kTries = 100;
  const Cell& cell = cells()[slot];
  std::array<std::uint64_t, kRecordWords> words;
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t before = cell.sequence.load(std::memory_order_acquire);
    for (std::size_t word = 0; word < kRecordWords; ++word) {
      words[word] = cell.words[word].load(std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 != 0 || cell.sequence.load(std::memory_order_relaxed) != before) continue;
    return std::bit_cast<BoardRecord>(words);
  }
  return std::nullopt;
}

void BoardMemory::CountRecovery() { header_->recoveries.fetch_add(1, std::memory_order_relaxed); }

std::uint64_t BoardMemory::recoveries() const {
  return header_->recoveries.load(std::memory_order_relaxed);
}

}  // namespace iperf3_exporter
