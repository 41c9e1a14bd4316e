// What worker and iperf3 may use, each limit with its unit and its reason.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "common/error.h"
#include "common/resource_limit.h"

namespace iperf3_exporter {

// The descriptor number of iperf3's program. Not below the hard limit of descriptors of any of
// our processes, so that once it is closed nothing can come to have it.
inline constexpr int kProgramFd = 1000;

struct ResourceLimit {
  int resource;
  rlim_t most;
};

// The lock's three descriptors in the worker begin here, with the child lease. Above all that iperf3
// can open, below kProgramFd.
inline constexpr int kLowestLockFd = 768;

// Address space. The worker: a report of 64 MiB, its structural index of four bytes per byte, and
// the rest of the parser. iperf3: 256 threads of kThreadStackBytes, their buffers of up to 1 MiB,
// and a report as a tree.
inline constexpr rlim_t kAddressSpaceBytes = rlim_t{1} << 30U;

// glibc gives each thread a stack of this size. It is also how far a mapping that grows down can
// reach, which must be less than what lies between kExecPathAddress and kLowestMapAddress.
inline constexpr rlim_t kThreadStackBytes = rlim_t{1} << 20U;

// The stream buffer's file is as long as one block (iperf3 -l, at most 1 MiB); SIGXFSZ beyond.
inline constexpr rlim_t kFileBytes = rlim_t{2} << 20U;

// 128 streams both ways, a socket and (while it is made) a buffer file each, and some.
inline constexpr rlim_t kIperf3Descriptors = 640;
static_assert(kIperf3Descriptors <= kLowestLockFd);

// Processes and threads, which the kernel counts per user. 128 streams both ways, one thread each,
// beside iperf3's own, the worker, and a second exporter that gives its workers the same user.
inline constexpr rlim_t kTasks = 640;

// Where workers share the supervisor's user, on top of what that user had at the start: fifteen
// other workers with as many streams, or what else the user comes to run. Root of the host is not
// counted.
inline constexpr rlim_t kTasksOfSharedUser = 4096;

inline constexpr std::array kWorkerLimits = {
    ResourceLimit{RLIMIT_AS, kAddressSpaceBytes},
    ResourceLimit{RLIMIT_CORE, kCoreBytes},
    ResourceLimit{RLIMIT_NOFILE, kProgramFd},
    ResourceLimit{RLIMIT_STACK, kThreadStackBytes},
};

inline constexpr std::array kIperf3Limits = {
    ResourceLimit{RLIMIT_AS, kAddressSpaceBytes},
    ResourceLimit{RLIMIT_CORE, kCoreBytes},
    ResourceLimit{RLIMIT_FSIZE, kFileBytes},
    ResourceLimit{RLIMIT_NOFILE, kIperf3Descriptors},
    ResourceLimit{RLIMIT_STACK, kThreadStackBytes},
};

// The soft limit of descriptors up to the hard one. Fails if that is not above kProgramFd. Before
// anything is put at kLowestLockFd or kProgramFd.
[[nodiscard]] Status RaiseDescriptorLimit();

// How many tasks the kernel counts for our user; 0 if it limits nothing for us, as for root. Starts
// processes that end at once. A millisecond or two. Single-threaded.
[[nodiscard]] rlim_t TasksOfOwnUser();

// Whether LowerLimit would change nothing.
[[nodiscard]] bool IsInForce(const ResourceLimit& limit);

// Sets soft and hard limit; both to the hard one where that is lower already.
// Async-signal-safe. Gives whether it succeeded; errno tells why not.
[[nodiscard]] bool LowerLimit(const ResourceLimit& limit);

[[nodiscard]] inline bool LowerLimits(std::span<const ResourceLimit> limits) {
  return std::all_of(limits.begin(), limits.end(), LowerLimit);
}

}  // namespace iperf3_exporter
