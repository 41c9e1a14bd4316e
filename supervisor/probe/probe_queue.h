// Decides which probe runs next: first come, first served, one at a time per lock key. Pure
// bookkeeping: no time, no processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_set>

#include "common/lock/lock_key.h"

namespace iperf3_exporter {

class ProbeQueue {
 public:
  // A probe's place in the order of arrival; a smaller one came earlier.
  using Ticket = std::uint64_t;

  // Queues `ticket` for `key`, or only for a worker if that is kNoLock. A retry keeps its ticket,
  // and so its place.
  void Push(Ticket ticket, LockKey key) { waiting_.emplace(ticket, key); }

  // Returns false if `ticket` does not wait.
  bool Remove(Ticket ticket) { return waiting_.erase(ticket) > 0; }

  // Removes and returns the earliest ticket whose key is free, and occupies that key until Finish.
  [[nodiscard]] std::optional<Ticket> PopNext();

  // The probe that PopNext returned for `key` has ended.
  void Finish(LockKey key) { busy_.erase(key); }

  // Whether a waiting ticket needs only a worker: its key is free, and no earlier ticket waits for
  // that key.
  [[nodiscard]] bool IsRunnable(Ticket ticket) const;

  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

 private:
  std::map<Ticket, LockKey> waiting_;
  std::unordered_set<LockKey> busy_;  // never kNoLock
};

}  // namespace iperf3_exporter
