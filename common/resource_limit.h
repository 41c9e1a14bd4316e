// Resource limits of this process (setrlimit(2)).
#pragma once

#include <sys/resource.h>

#include "common/error.h"

namespace iperf3_exporter {

// The limit of core files for both programs, whose memory holds keys or data of a peer. Not 0,
// because the kernel ignores 0 if it pipes core files to a program (core(5)). It honours 1, and one
// byte is of no use.
inline constexpr rlim_t kCoreBytes = 1;

// Raises the soft limit to the hard limit, and returns that. On most systems the soft limit of
// descriptors is 1024.
[[nodiscard]] Result<rlim_t> RaiseToHardLimit(int resource);

// Sets the soft and the hard limit to `max`, or to the present hard limit if that is lower. Returns
// false if a system call fails.
[[nodiscard]] bool LowerResourceLimit(int resource, rlim_t max);

}  // namespace iperf3_exporter
