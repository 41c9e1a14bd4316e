// The board's layout in its file, written by mapping and read by read(2). Internal to the lock.
// Every access is bounded, so that no other process can make ours read torn data unnoticed
// or wait. Whoever can write the file could also make it shorter, and then a mapping ends its
// owner by SIGBUS: so the supervisor maps nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "common/error.h"
#include "common/unique_fd.h"
#include "common/wire/job.h"

namespace iperf3_exporter {

// What a holder writes. Plain data: it is copied as words.
struct BoardRecord {
  std::int64_t since_ns = 0;  // CLOCK_REALTIME; 0: nobody
  std::uint64_t pid_namespace = 0;
  std::uint32_t exporter_pid = 0;
  std::uint32_t worker_pid = 0;
  std::uint32_t port = 0;
  std::uint32_t target_bytes = 0;
  std::array<char, 256> target{};
};
static_assert(sizeof(BoardRecord) % sizeof(std::uint64_t) == 0);
static_assert(kMaxTargetBytes <= sizeof(BoardRecord::target));

// A writable mapping of the board's file.
class BoardMemory {
 public:
  BoardMemory() = default;
  BoardMemory(BoardMemory&& other) noexcept;
  BoardMemory& operator=(BoardMemory&& other) noexcept;
  ~BoardMemory();

  // Size of the file for that many slots.
  [[nodiscard]] static std::size_t Bytes(std::uint32_t slots);

  // Maps the file, which must be of Bytes(slots) or more; `fd` stays the caller's.
  [[nodiscard]] static Result<BoardMemory> Map(int fd, std::uint32_t slots);

  // One writer at a time per slot: who has the witness. A writer that dies inside leaves
  // a record that BoardFile refuses until the next Write.
  void Write(std::uint32_t slot, const BoardRecord& record);

  void CountRecovery();

 private:
  friend class BoardFile;
  struct Header;
  struct Cell;

  [[nodiscard]] Cell* cells() const;

  Header* header_ = nullptr;
  std::size_t bytes_ = 0;
};

// The board as its reader has it.
class BoardFile {
 public:
  BoardFile() = default;
  explicit BoardFile(UniqueFd file) : file_(std::move(file)) {}

  [[nodiscard]] int fd() const { return file_.get(); }

  // Empty: torn, after a few tries, or the file is too short.
  [[nodiscard]] std::optional<BoardRecord> Read(std::uint32_t slot) const;

  // 0 if the file is too short.
  [[nodiscard]] std::uint64_t recoveries() const;

 private:
  UniqueFd file_;
};

}  // namespace iperf3_exporter
