#include "supervisor/probe/probe_queue.h"

#include <algorithm>

namespace iperf3_exporter {

std::optional<ProbeQueue::Ticket> ProbeQueue::PopNext() {
  const auto next = std::ranges::find_if(
      waiting_, [this](const auto& entry) { return !busy_.contains(entry.second); });
  if (next == waiting_.end()) return std::nullopt;
  const auto [ticket, key] = *next;
  waiting_.erase(next);
  if (key != kNoLock) busy_.insert(key);
  return ticket;
}

bool ProbeQueue::IsRunnable(Ticket ticket) const {
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end()) return false;
  const LockKey key = found->second;
  if (key == kNoLock) return true;
  return !busy_.contains(key) && std::none_of(waiting_.begin(), found, [key](const auto& entry) {
    return entry.second == key;
  });
}

}  // namespace iperf3_exporter
