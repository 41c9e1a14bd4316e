#include "supervisor/probe/probe_queue.h"

namespace iperf3_exporter {

void ProbeQueue::Withdraw(const Slot& slot) {
  if (!slot.waiting.empty()) runnable_.erase(*slot.waiting.begin());
}

void ProbeQueue::Offer(const Slot& slot) {
  if (!slot.busy && !slot.waiting.empty()) runnable_.insert(*slot.waiting.begin());
}

void ProbeQueue::Push(Ticket ticket, std::uint32_t slot_number) {
  waiting_.emplace(ticket, slot_number);
  if (slot_number == kNoLock) {
    runnable_.insert(ticket);
    return;
  }
  Slot& slot = slots_[slot_number];
  Withdraw(slot);
  slot.waiting.insert(ticket);
  Offer(slot);
}

bool ProbeQueue::Remove(Ticket ticket) {
  const auto entry = waiting_.find(ticket);
  if (entry == waiting_.end()) return false;
  const std::uint32_t slot_number = entry->second;
  waiting_.erase(entry);
  if (slot_number == kNoLock) {
    runnable_.erase(ticket);
    return true;
  }
  const auto slot = slots_.find(slot_number);
  Withdraw(slot->second);
  slot->second.waiting.erase(ticket);
  Offer(slot->second);
  if (!slot->second.busy && slot->second.waiting.empty()) slots_.erase(slot);
  return true;
}

std::optional<ProbeQueue::Ticket> ProbeQueue::PopNext() {
  if (runnable_.empty()) return std::nullopt;
  const Ticket ticket = *runnable_.begin();
  runnable_.erase(runnable_.begin());
  const auto entry = waiting_.find(ticket);
  const std::uint32_t slot_number = entry->second;
  waiting_.erase(entry);
  if (slot_number != kNoLock) {
    Slot& slot = slots_[slot_number];
    slot.waiting.erase(ticket);
    slot.busy = true;
  }
  return ticket;
}

void ProbeQueue::Finish(std::uint32_t slot_number) {
  const auto slot = slots_.find(slot_number);
  if (slot == slots_.end()) return;
  slot->second.busy = false;
  Offer(slot->second);
  if (slot->second.waiting.empty()) slots_.erase(slot);
}

}  // namespace iperf3_exporter
