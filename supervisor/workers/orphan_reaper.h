// What dead workers leave behind: adopted, killed and reaped, whoever's child it was.
//
// A worker that was taken over can start a process that never executes iperf3 and has copies of
// all that the worker had open, the lock's witness among them. A fork clears the
// parent-death signal, so killing the worker does not end it; as its next parent we do.
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
  // already are another's doing (a shell that started something and became this program) and
  // are left alone; what those leave behind is not told from a worker's.
  OrphanReaper();

  // One pass over our children: the dead are reaped and the living killed, except those for
  // which `is_worker` is true. Waits for nobody. Children of the killed become ours when those die,
  // which SIGCHLD tells: then call again.
  void Sweep(const std::function<bool(pid_t)>& is_worker);

  // Sweeps until nothing is left, when there are no workers any more; at most until `limit`.
  void SweepAll(Deadline limit);

 private:
  [[nodiscard]] std::vector<pid_t> ListOrphans() const;

  std::vector<pid_t> inherited_;
};

}  // namespace iperf3_exporter
