// The resource limits of worker and iperf3, with their units and reasons.
#pragma once

#include <array>

#include "common/error.h"
#include "common/resource_limit.h"

namespace iperf3_exporter {

struct ResourceLimit {
  int resource;
  rlim_t max;
};

// The descriptor of iperf3's program. At least the limit of open files of worker and iperf3, so
// that no file opened later can get this number.
inline constexpr int kProgramFd = 1000;

// The lock's descriptors in the worker start here, with the child lease: above all descriptors that
// iperf3 can open, below kProgramFd.
inline constexpr int kLowestLockFd = 768;

// Address space. The worker: a report of 64 MiB, and 14 bytes per byte to count its traffic.
// iperf3: 256 threads of kThreadStackBytes, their buffers of up to 1 MiB, and a report as a tree.
inline constexpr rlim_t kAddressSpaceBytes = rlim_t{1} << 30U;

// glibc gives each thread a stack of this size. It is also how far a mapping that grows down can
// reach, which must be less than the distance from kExecPathAddress to kLowestMapAddress.
inline constexpr rlim_t kThreadStackBytes = rlim_t{1} << 20U;

// The stream buffer's file is as long as one block (iperf3 -l, at most 1 MiB). SIGXFSZ beyond.
inline constexpr rlim_t kFileBytes = rlim_t{2} << 20U;

// 128 streams both ways, each with a socket and, while it is created, a buffer file.
inline constexpr rlim_t kIperf3Descriptors = 640;
static_assert(kIperf3Descriptors <= kLowestLockFd);

// Processes and threads, which the kernel counts per user. 128 streams both ways, one thread each,
// iperf3's main thread, the worker, and a second exporter whose workers run as the same user.
inline constexpr rlim_t kTasks = 640;

// If workers share the supervisor's user, the limit is that user's tasks at the start plus this:
// enough for fifteen other workers with 256 streams each. root's tasks are not limited.
inline constexpr rlim_t kTasksOfSharedUser = 4096;

// The worker sets them, and iperf3 inherits them.
inline constexpr std::array kInheritedLimits = {
    ResourceLimit{RLIMIT_AS, kAddressSpaceBytes},
    ResourceLimit{RLIMIT_STACK, kThreadStackBytes},
    ResourceLimit{RLIMIT_CORE, kCoreLimitBytes},
};

// Raises the soft limit of open files to the hard one. Fails if that is not above kProgramFd. Call
// it before a descriptor is moved to kLowestLockFd or kProgramFd.
[[nodiscard]] Status RaiseDescriptorLimit();

// The number of tasks that the kernel counts for our user; 0 if we are not limited, as for root.
// Starts processes that exit at once; needs a millisecond or two. Single-threaded.
[[nodiscard]] rlim_t TasksOfOwnUser();

}  // namespace iperf3_exporter
