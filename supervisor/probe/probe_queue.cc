#include "supervisor/probe/probe_queue.h"

namespace iperf3_exporter {

void ProbeQueue::Withdraw(const KeyState& state) {
  if (!state.waiting.empty()) runnable_.erase(*state.waiting.begin());
}

void ProbeQueue::Offer(const KeyState& state) {
  if (!state.busy && !state.waiting.empty()) runnable_.insert(*state.waiting.begin());
}

void ProbeQueue::Push(Ticket ticket, LockKey key) {
  waiting_.emplace(ticket, key);
  if (key == kNoLock) {
    runnable_.insert(ticket);
    return;
  }
  KeyState& state = keys_[key];
  Withdraw(state);
  state.waiting.insert(ticket);
  Offer(state);
}

bool ProbeQueue::Remove(Ticket ticket) {
  const auto entry = waiting_.find(ticket);
  if (entry == waiting_.end()) return false;
  const LockKey key = entry->second;
  waiting_.erase(entry);
  if (key == kNoLock) {
    runnable_.erase(ticket);
    return true;
  }
  const auto state = keys_.find(key);
  Withdraw(state->second);
  state->second.waiting.erase(ticket);
  Offer(state->second);
  if (!state->second.busy && state->second.waiting.empty()) keys_.erase(state);
  return true;
}

std::optional<ProbeQueue::Ticket> ProbeQueue::PopNext() {
  if (runnable_.empty()) return std::nullopt;
  const Ticket ticket = *runnable_.begin();
  runnable_.erase(runnable_.begin());
  const auto entry = waiting_.find(ticket);
  const LockKey key = entry->second;
  waiting_.erase(entry);
  if (key != kNoLock) {
    KeyState& state = keys_[key];
    state.waiting.erase(ticket);
    state.busy = true;
  }
  return ticket;
}

void ProbeQueue::Finish(LockKey key) {
  const auto state = keys_.find(key);
  if (state == keys_.end()) return;
  state->second.busy = false;
  Offer(state->second);
  if (state->second.waiting.empty()) keys_.erase(state);
}

}  // namespace iperf3_exporter
