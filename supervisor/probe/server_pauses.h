// When the last test of each server ended, so that the next one leaves it a pause.
#pragma once

#include <unordered_map>

#include "common/deadline.h"
#include "common/lock/lock_key.h"
#include "supervisor/probe/probe_timing.h"

namespace iperf3_exporter {

class ServerPauses {
 public:
  // `server` is ProbeProgress::HashServer. Forgets the servers whose pause is over.
  void OnTestEnded(LockKey server, TimePoint now) {
    std::erase_if(ends_, [now](const auto& entry) { return entry.second + kServerPause <= now; });
    ends_[server] = now;
  }

  // The earliest start of the next test of `server`; the epoch if it may start at once.
  [[nodiscard]] Deadline EarliestStart(LockKey server) const {
    const auto found = ends_.find(server);
    return found == ends_.end() ? Deadline() : found->second + kServerPause;
  }

 private:
  std::unordered_map<LockKey, TimePoint> ends_;
};

}  // namespace iperf3_exporter
