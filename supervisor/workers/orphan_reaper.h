// Kills and reaps the processes that dead workers leave behind.
//
// A worker that was taken over can start a process that never executes iperf3 and has copies of
// the worker's descriptors, the lock's among them. A fork clears the parent-death signal, so
// killing the worker does not end that process. We become its parent, and kill it.
//
// Loop thread only, which is the one that starts the workers.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "common/deadline.h"

namespace iperf3_exporter {

class OrphanReaper {
 public:
  // Makes this process the parent of its descendants' orphans, for good. Children that it has
  // already (of a shell that started something and then became this program) are left alone. Their
  // orphans can't be told from a worker's.
  OrphanReaper();

  // One pass over our children, except those for which `is_worker` is true: reaps the dead and
  // kills the living. Does not wait. The children of those become ours when they die: call it again
  // on SIGCHLD.
  void Sweep(const std::function<bool(pid_t)>& is_worker);

  // Without workers: sweeps until nothing is left, but no longer than until `limit`.
  void SweepAll(Deadline limit);

 private:
  [[nodiscard]] std::vector<pid_t> ListOrphans() const;

  std::vector<pid_t> inherited_;
};

}  // namespace iperf3_exporter
