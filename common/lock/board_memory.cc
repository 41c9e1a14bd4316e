#include "common/lock/board_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstddef>
#include <utility>

namespace iperf3_exporter {
namespace {

constexpr std::size_t kRecordWords = sizeof(BoardRecord) / sizeof(std::uint64_t);

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(std::uint64_t));
static_assert(std::is_trivially_copyable_v<BoardRecord>);

// In order with the calls around it: the kernel's own reads are not ordered by entering it.
template <typename Value>
std::optional<Value> ReadAt(int fd, off_t at) {
  Value value;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const ssize_t got = ::pread(fd, &value, sizeof value, at);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (got != ssize_t{sizeof value}) return std::nullopt;
  return value;
}

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

Result<BoardMemory> BoardMemory::Map(int fd, std::uint32_t slots) {
  void* mapping = ::mmap(nullptr, Bytes(slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
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

void BoardMemory::CountRecovery() { header_->recoveries.fetch_add(1, std::memory_order_relaxed); }

std::optional<BoardRecord> BoardFile::Read(std::uint32_t slot) const {
  constexpr int kTries = 10;
  const auto cell =
      static_cast<off_t>(sizeof(BoardMemory::Header) + slot * sizeof(BoardMemory::Cell));
  const auto words = cell + static_cast<off_t>(offsetof(BoardMemory::Cell, words));
  for (int i = 0; i < kTries; ++i) {
    const auto before = ReadAt<std::uint64_t>(fd(), cell);
    const auto record = ReadAt<BoardRecord>(fd(), words);
    const auto after = ReadAt<std::uint64_t>(fd(), cell);
    if (!before || !record || !after) return std::nullopt;
    if (*before % 2 == 0 && *before == *after) return record;
  }
  return std::nullopt;
}

std::uint64_t BoardFile::recoveries() const {
  return ReadAt<std::uint64_t>(fd(), offsetof(BoardMemory::Header, recoveries)).value_or(0);
}

}  // namespace iperf3_exporter
