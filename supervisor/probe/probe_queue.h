// Who tests next: first come, first served per lock key, one at a time per key.
// Pure bookkeeping: no time, no processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "common/lock/lock_key.h"

namespace iperf3_exporter {

class ProbeQueue {
 public:
  // A probe's place in the order of arrival; smaller came earlier.
  using Ticket = std::uint64_t;

  // Lets `ticket` wait for `key` (kNoLock: for no other probe). A ticket that comes back (a
  // retry) has the place of its arrival.
  void Push(Ticket ticket, LockKey key);

  // Takes a waiting ticket out. False when it does not wait.
  bool Remove(Ticket ticket);

  // Takes out the earliest waiting ticket whose key is free, and occupies that key until Finish.
  // Nothing when no probe may run.
  [[nodiscard]] std::optional<Ticket> PopNext();

  // Whether a waiting ticket waits for a worker only: no other probe of its key is before it.
  [[nodiscard]] bool IsRunnable(Ticket ticket) const { return runnable_.contains(ticket); }

  // The probe that PopNext returned for `key` is over.
  void Finish(LockKey key);

  [[nodiscard]] std::size_t size() const { return waiting_.size(); }

  // The waiting tickets in order of arrival, each with its key.
  [[nodiscard]] const std::map<Ticket, LockKey>& waiting() const { return waiting_; }

 private:
  struct KeyState {
    bool busy = false;
    std::set<Ticket> waiting;
  };

  // `runnable_` holds the first ticket of every free key, and every ticket without a key. These two
  // keep it so around a change of one key.
  void Withdraw(const KeyState& state);
  void Offer(const KeyState& state);

  std::map<Ticket, LockKey> waiting_;
  std::unordered_map<LockKey, KeyState> keys_;
  std::set<Ticket> runnable_;
};

}  // namespace iperf3_exporter
