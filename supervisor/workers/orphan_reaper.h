// Kills and reaps the processes that dead workers leave behind.
//
// A compromised worker can start a process that never executes iperf3 and that keeps the worker's
// descriptors, including the lock's. A fork clears the parent-death signal, so that process
// survives the worker. We become its parent and kill it. Loop thread only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "common/deadline.h"

namespace iperf3_exporter {

class OrphanReaper {
 public:
  // From now on every orphaned descendant becomes a child of this process. Children that already
  // exist (of a shell that executed this program) are never killed; the orphans that they leave
  // are.
  OrphanReaper();

  // Reaps our dead children and kills the others, except those for which `is_worker` is true and
  // those that existed before this object. Does not wait. The children of a killed child become
  // ours: call it again on SIGCHLD.
  void Sweep(const std::function<bool(pid_t)>& is_worker);

  // Sweeps until no orphan is left, but not past `limit`. Call it when no worker is left.
  void SweepAll(Deadline limit);

 private:
  [[nodiscard]] std::vector<pid_t> ListOrphans() const;

  std::vector<pid_t> inherited_;
};

}  // namespace iperf3_exporter
