// Resource limits of this process (setrlimit(2)).
#pragma once

#include <sys/resource.h>

#include "common/error.h"

namespace iperf3_exporter {

// The limit of core files for both programs, whose memory holds keys or a peer's data. With 0 the
// kernel still pipes a dump to a program (core(5)). With 1 it writes none, neither to a program nor
// to a file.
inline constexpr rlim_t kCoreLimitBytes = 1;

// Raises the soft limit to the hard limit, and returns that. On most systems the soft limit of
// descriptors is 1024.
[[nodiscard]] Result<rlim_t> RaiseToHardLimit(int resource);

// Sets the soft and the hard limit to `max`, or to the current hard limit if that is lower. Returns
// false if a system call fails.
[[nodiscard]] bool SetResourceLimit(int resource, rlim_t max);

// Starts a process that ends at once, to find out whether the limits of tasks (RLIMIT_NPROC,
// pids.max) allow one. It shares our memory, so the cost does not depend on our size: about 0.1 ms.
// Its end sends no signal.
[[nodiscard]] Status TryStartProcess();

}  // namespace iperf3_exporter
