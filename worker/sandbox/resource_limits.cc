#include "worker/sandbox/resource_limits.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>

#include "common/build_sanitizers.h"
#include "common/resource_limit.h"

namespace iperf3_exporter {
namespace {

int EndAtOnce(void*) { ::_exit(0); }

// Whether one more process can be had under this limit. It shares our memory, and we stand still
// until it has ended, so that its cost does not grow with us.
bool CanStartUnder(rlim_t most, rlim_t hard) {
  constexpr std::size_t kStackBytes = std::size_t{16} << 10U;
  alignas(std::max_align_t) char stack[kStackBytes];
  const rlimit limit = {std::min(most, hard), hard};
  if (::setrlimit(RLIMIT_NPROC, &limit) != 0) return false;
  const pid_t pid =
      ::clone(EndAtOnce, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  if (pid < 0) return false;
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return true;
}

}  // namespace

rlim_t TasksOfOwnUser() {
  // Above any number of tasks that Linux can have.
  constexpr rlim_t kMost = rlim_t{1} << 22U;
  rlimit original = {};
  if (::getrlimit(RLIMIT_NPROC, &original) != 0) return 0;
  // One more can be had exactly under a limit that is above what there are. We are one.
  rlim_t refused = 0;
  rlim_t granted = kMost;
  if (CanStartUnder(1, original.rlim_max)) granted = 1;
  while (granted - refused > 1) {
    const rlim_t between = refused + (granted - refused) / 2;
    (CanStartUnder(between, original.rlim_max) ? granted : refused) = between;
  }
  ::setrlimit(RLIMIT_NPROC, &original);
  return granted - 1;
}

Status RaiseDescriptorLimit() {
  const auto limit = RaiseToHardLimit(RLIMIT_NOFILE);
  if (!limit) return tl::unexpected(limit.error());
  if (*limit <= kProgramFd) {
    return MakeError("the hard limit of open files (ulimit -Hn) must be above " +
                     std::to_string(kProgramFd));
  }
  return {};
}

bool IsInForce(const ResourceLimit& limit) {
  rlimit now = {};
  return ::getrlimit(static_cast<__rlimit_resource>(limit.resource), &now) == 0 &&
         now.rlim_cur == now.rlim_max && now.rlim_max <= limit.most;
}

bool LowerLimit(const ResourceLimit& limit) {
  if (kBuiltWithSanitizer && limit.resource == RLIMIT_AS) return true;
  return LowerResourceLimit(limit.resource, limit.most);
}

}  // namespace iperf3_exporter
