#include "common/resource_limit.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace iperf3_exporter {
namespace {

int ExitAtOnce(void*) { ::_exit(0); }

}  // namespace

Result<rlim_t> RaiseToHardLimit(int resource) {
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit limit = {};
  if (::getrlimit(which, &limit) != 0) return ErrnoError("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(which, &limit) != 0) return ErrnoError("setrlimit");
  return limit.rlim_max;
}

bool SetResourceLimit(int resource, rlim_t max) {
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit limit = {};
  if (::getrlimit(which, &limit) != 0) return false;
  limit.rlim_max = std::min(limit.rlim_max, max);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(which, &limit) == 0;
}

Status TryStartProcess() {
  constexpr std::size_t kStackBytes = std::size_t{16} << 10U;
  alignas(std::max_align_t) char stack[kStackBytes];
  const pid_t pid = ::clone(ExitAtOnce, stack + sizeof stack, CLONE_VM | CLONE_VFORK, nullptr);
  if (pid < 0) return ErrnoError("clone");
  while (::waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  return {};
}

}  // namespace iperf3_exporter
