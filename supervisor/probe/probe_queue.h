// Who tests next: first come, first served per lock slot, one at a time per slot.
// Pure bookkeeping: no time, no processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "common/wire/job.h"

namespace iperf3_exporter {

class ProbeQueue {
 public:
  // A probe's place in the order of arrival; smaller came earlier.
  using Ticket = std::uint64_t;

  // Lets `ticket` wait for `slot` (kNoLock: for no other probe). A ticket that comes
  // back (a retry) stands where its arrival puts it.
  void Push(Ticket ticket, std::uint32_t slot);

  // Takes a waiting ticket out. False when it does not wait.
  bool Remove(Ticket ticket);

  // Takes out the earliest waiting ticket whose slot is free, and occupies that slot
  // until Finish. Nothing when no probe may run.
  [[nodiscard]] std::optional<Ticket> PopNext();

  // Whether a waiting ticket waits for a worker only: no other probe is before it at its slot.
  [[nodiscard]] bool IsRunnable(Ticket ticket) const { return runnable_.contains(ticket); }

  // The probe that PopNext gave for `slot` is over.
  void Finish(std::uint32_t slot);

  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

  // The waiting tickets in order of arrival, each with its slot.
  [[nodiscard]] const std::map<Ticket, std::uint32_t>& waiting() const { return waiting_; }

 private:
  struct Slot {
    bool busy = false;
    std::set<Ticket> waiting;
  };

  // `runnable_` holds the first ticket of every free slot, and every ticket without a
  // slot. These two keep it so around a change of one slot.
  void Withdraw(const Slot& slot);
  void Offer(const Slot& slot);

  std::map<Ticket, std::uint32_t> waiting_;
  std::unordered_map<std::uint32_t, Slot> slots_;
  std::set<Ticket> runnable_;
};

}  // namespace iperf3_exporter
