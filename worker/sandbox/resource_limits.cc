#include "worker/sandbox/resource_limits.h"

#include <algorithm>
#include <string>

namespace iperf3_exporter {
namespace {

// Sets this limit, tries to start a process under it, and returns whether that worked.
bool TryStartUnder(rlim_t soft, rlim_t hard) {
  const rlimit limit = {std::min(soft, hard), hard};
  return ::setrlimit(RLIMIT_NPROC, &limit) == 0 && TryStartProcess();
}

}  // namespace

rlim_t TasksOfOwnUser() {
  constexpr rlim_t kMaxTasksOfLinux = rlim_t{1} << 22U;
  rlimit original = {};
  if (::getrlimit(RLIMIT_NPROC, &original) != 0) return 0;
  // A process can be started if the limit is above the user's present number of tasks. That number
  // includes this process, so a limit of 1 works only if the user is not limited at all.
  rlim_t refused = 0;
  rlim_t granted = kMaxTasksOfLinux;
  if (TryStartUnder(1, original.rlim_max)) granted = 1;
  while (granted - refused > 1) {
    const rlim_t between = refused + (granted - refused) / 2;
    (TryStartUnder(between, original.rlim_max) ? granted : refused) = between;
  }
  ::setrlimit(RLIMIT_NPROC, &original);
  return granted - 1;
}

Status RaiseDescriptorLimit() {
  const auto limit = RaiseToHardLimit(RLIMIT_NOFILE);
  if (!limit) return tl::unexpected(limit.error());
  if (*limit > kProgramFd) return {};
  return MakeError("the hard limit on open files (ulimit -Hn) must be greater than " +
                   std::to_string(kProgramFd));
}

}  // namespace iperf3_exporter
