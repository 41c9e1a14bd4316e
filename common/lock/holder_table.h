// Who holds which key: a file that every worker maps and writes, and that the supervisor reads. It
// only informs: no decision of the lock depends on it. The checksum detects torn writes, not
// forgery: a hostile worker can fake what is displayed, and nothing else.
//
// A holder's record is in the slot of its key (key modulo the number of slots) or, if a live holder
// of another key uses that slot, in the next free one. If there are more holders than slots, some
// are not shown.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "common/error.h"
#include "common/lock/lock_key.h"

namespace iperf3_exporter {

// Plain data, the same in every build of one architecture. A change requires a new version in
// the file's name (lock_files.cc).
struct HolderRecord {
  std::uint64_t checksum = 0;  // of the rest
  LockKey key = kNoLock;       // kNoLock: released
  std::int64_t since_ns = 0;   // CLOCK_MONOTONIC, so that steps of the wall clock do not matter
  std::uint64_t pid_namespace = 0;
  std::uint32_t exporter_pid = 0;
  std::uint32_t worker_pid = 0;
  std::uint32_t port = 0;
  std::uint32_t target_bytes = 0;
  std::uint64_t recoveries = 0;  // of this slot, from all its holders
  std::array<char, 256> target{};
};

inline constexpr std::size_t kHolderSlots = 256;
inline constexpr std::size_t kHolderTableBytes = kHolderSlots * sizeof(HolderRecord);

[[nodiscard]] std::uint64_t ChecksumOf(const HolderRecord& record);

// For workers. Truncating the file would make every process that accesses the mapping die of
// SIGBUS. So no worker keeps a descriptor that could do that, and the supervisor maps nothing.
class HolderTable {
 public:
  // Maps the file; `fd` stays the caller's.
  [[nodiscard]] static Result<HolderTable> Map(int fd);

  struct Entry {
    std::size_t slot;
    bool predecessor_died;  // the key's last holder left its record behind
  };

  // Adds the holder of `record.key`. `is_held` returns whether another process holds a key now.
  // Returns nullopt if all slots are in use.
  [[nodiscard]] std::optional<Entry> Add(HolderRecord record,
                                         const std::function<bool(LockKey)>& is_held);

  void Remove(std::size_t slot);

 private:
  struct Unmap {
    void operator()(HolderRecord* slots) const;
  };
  explicit HolderTable(HolderRecord* slots) : slots_(slots) {}

  // An empty record if the checksum is wrong.
  [[nodiscard]] HolderRecord Read(std::size_t slot) const;
  void Write(std::size_t slot, HolderRecord record);

  std::unique_ptr<HolderRecord[], Unmap> slots_;
};

}  // namespace iperf3_exporter
