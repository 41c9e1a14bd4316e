// Kills and reaps the processes that dead workers leave behind.
//
// A compromised worker can start a process that never executes iperf3 and that has the worker's
// descriptors, also the lock's. A fork clears the parent-death signal, so that process survives the
// worker. We become its parent and kill it. Loop thread only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "common/deadline.h"

namespace iperf3_exporter {

class OrphanReaper {
 public:
  // Makes this process the parent of its descendants' orphans, permanently. It does not kill the
  // children that exist now (of a shell that executed this program), but their orphans.
  OrphanReaper();

  // Reaps the dead and kills the living of our children, except those for which `is_worker` is
  // true. Does not wait. Their children become ours when they die: call it again on SIGCHLD.
  void Sweep(const std::function<bool(pid_t)>& is_worker);

  // Sweeps until no orphan is left, but not past `limit`. Call it when no worker is left.
  void SweepAll(Deadline limit);

 private:
  [[nodiscard]] std::vector<pid_t> ListOrphans() const;

  std::vector<pid_t> inherited_;
};

}  // namespace iperf3_exporter
