#include "supervisor/app/self_protection.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>

#include "common/build_sanitizers.h"

namespace iperf3_exporter {
namespace {

// Not 0: where core files go to a program (core(5), core_pattern with a pipe) the kernel looks at
// no limit but at this one, of which it makes no core file at all.
constexpr rlim_t kCoreBytes = 1;

// True when the limit is that or was lower already.
bool LimitCore() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return false;
  limit.rlim_max = std::min(limit.rlim_max, kCoreBytes);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_CORE, &limit) == 0;
}

}  // namespace

LayerStates EnterSelfProtection() {
  LayerStates states{};
  const auto report = [&states](SandboxLayer layer, bool in_force) {
    states[static_cast<std::size_t>(layer)] =
        in_force ? LayerState::kInForce : LayerState::kMissing;
  };
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  report(SandboxLayer::kNoNewPrivileges, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  // A process may still open its own /proc/self; to others of its user that is closed from here on.
  if (!kBuiltWithSanitizer) {
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    report(SandboxLayer::kNotDumpable, ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
  }
  report(SandboxLayer::kRlimits, LimitCore());
  return states;
}

Status RaiseDescriptorLimit(std::size_t connections, std::size_t own) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError("getrlimit(RLIMIT_NOFILE)");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError("setrlimit(RLIMIT_NOFILE)");
  if (limit.rlim_max < connections + own) {
    return MakeError("--web.max-connections=" + std::to_string(connections) +
                     ": this process may have " + std::to_string(limit.rlim_max) +
                     " descriptors, " + std::to_string(own) +
                     " of them for itself (ulimit -n, LimitNOFILE=)");
  }
  return {};
}

}  // namespace iperf3_exporter
