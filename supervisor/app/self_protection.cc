#include "supervisor/app/self_protection.h"

#include <sys/prctl.h>

#include <string>

#include "common/build_sanitizers.h"
#include "common/resource_limit.h"

namespace iperf3_exporter {

LayerStates EnterSelfProtection() {
  LayerStates states{};
  const auto report = [&states](SandboxLayer layer, bool enabled) {
    states[static_cast<std::size_t>(layer)] = enabled ? LayerState::kEnabled : LayerState::kMissing;
  };
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  report(SandboxLayer::kNoNewPrivileges, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  // From here on only this process itself can open its /proc/self, no other of its user.
  if (!kBuiltWithSanitizer) {
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    report(SandboxLayer::kNotDumpable, ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
  }
  report(SandboxLayer::kRlimits, SetResourceLimit(RLIMIT_CORE, kCoreLimitBytes));
  return states;
}

Status RaiseDescriptorLimit(std::size_t connections, std::size_t own) {
  const auto limit = RaiseToHardLimit(RLIMIT_NOFILE);
  if (!limit) return tl::unexpected(limit.error());
  if (*limit < connections + own) {
    return MakeError("--web.max-connections=" + std::to_string(connections) +
                     ": this process may have " + std::to_string(*limit) + " descriptors, " +
                     std::to_string(own) + " of them for itself (ulimit -n, LimitNOFILE=)");
  }
  return {};
}

}  // namespace iperf3_exporter
