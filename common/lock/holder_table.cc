#include "common/lock/holder_table.h"

#include <sys/mman.h>

#include <cstring>
#include <string_view>
#include <type_traits>

#include "common/hash.h"

namespace iperf3_exporter {

static_assert(std::is_trivially_copyable_v<HolderRecord>);
static_assert(std::has_unique_object_representations_v<HolderRecord>);  // no padding
// Layout version 2. Whoever changes these numbers changes the version in the file's name, too.
static_assert(kHolderTableBytes == std::size_t{256} * 312);
static_assert(offsetof(HolderRecord, key) == 8 && offsetof(HolderRecord, since_ns) == 16 &&
              offsetof(HolderRecord, pid_namespace) == 24 &&
              offsetof(HolderRecord, exporter_pid) == 32 &&
              offsetof(HolderRecord, worker_pid) == 36 && offsetof(HolderRecord, port) == 40 &&
              offsetof(HolderRecord, target_bytes) == 44 &&
              offsetof(HolderRecord, recoveries) == 48 && offsetof(HolderRecord, target) == 56);

std::uint64_t ChecksumOf(const HolderRecord& record) {
  const auto* bytes = reinterpret_cast<const char*>(&record);
  return HashBytes({bytes + sizeof record.checksum, sizeof record - sizeof record.checksum});
}

void HolderTable::Unmap::operator()(HolderRecord* slots) const {
  ::munmap(slots, kHolderTableBytes);
}

Result<HolderTable> HolderTable::Map(int fd) {
  void* mapping = ::mmap(nullptr, kHolderTableBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) return ErrnoError("mmap of the lock's holder table");
  return HolderTable(static_cast<HolderRecord*>(mapping));
}

HolderRecord HolderTable::Read(std::size_t slot) const {
  HolderRecord record;
  std::memcpy(&record, &slots_[slot], sizeof record);
  return record.checksum == ChecksumOf(record) ? record : HolderRecord{};
}

void HolderTable::Write(std::size_t slot, HolderRecord record) {
  record.checksum = ChecksumOf(record);
  std::memcpy(&slots_[slot], &record, sizeof record);
}

std::optional<HolderTable::Entry> HolderTable::Add(HolderRecord record,
                                                   const std::function<bool(LockKey)>& is_held) {
  for (std::size_t i = 0; i < kHolderSlots; ++i) {
    const std::size_t slot = (record.key + i) % kHolderSlots;
    const HolderRecord old = Read(slot);
    const bool predecessor_died = old.key == record.key;
    if (old.key != kNoLock && is_held(old.key)) continue;
    record.recoveries = old.recoveries + (predecessor_died ? 1 : 0);
    Write(slot, record);
    return Entry{.slot = slot, .predecessor_died = predecessor_died};
  }
  return std::nullopt;
}

void HolderTable::Remove(std::size_t slot) {
  Write(slot, HolderRecord{.recoveries = Read(slot).recoveries});
}

}  // namespace iperf3_exporter
