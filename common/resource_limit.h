// Limits of this process (getrlimit(2)) as both programs set them.
#pragma once

#include <sys/resource.h>

#include "common/error.h"

namespace iperf3_exporter {

// The limit of a core file in both programs, whose memory holds keys or what a peer sent. Not 0,
// which is ignored where the kernel pipes core files to a program (core(5)); 1 is honoured there,
// and a file of one byte is none.
inline constexpr rlim_t kCoreBytes = 1;

// Raises the soft limit to the hard one, which it returns. The soft limit of descriptors is 1024 on
// most systems.
[[nodiscard]] Result<rlim_t> RaiseToHardLimit(int resource);

// Sets soft and hard limit to `max`, or both to the hard limit where that is lower. False if the
// kernel refuses.
[[nodiscard]] bool LowerResourceLimit(int resource, rlim_t max);

}  // namespace iperf3_exporter
