#include "supervisor/app/process_setup.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "common/build_sanitizers.h"
#include "common/logging.h"
#include "common/resource_limit.h"
#include "common/text.h"
#include "supervisor/probe/name_lookups.h"

namespace iperf3_exporter {
namespace {

// getaddrinfo (with the modules of nsswitch.conf) and bcrypt need a fraction of this. With the
// usual 8 MB, the threads of name lookups could reserve 256 MB of address space.
constexpr std::size_t kSupervisorThreadStackBytes = std::size_t{512} << 10;

struct MinLimit {
  __rlimit_resource resource;
  rlim_t bytes;
  const char* name;  // and how to raise it
  const char* use;
};

constexpr MinLimit kMinLimits[] = {
    // The longest block of a stream (iperf3 -l), which is a file.
    {RLIMIT_FSIZE, rlim_t{1} << 20U, "file size (ulimit -f, LimitFSIZE=)", "a stream's buffer"},
    // Workers set the same for iperf3. With much less, they crash at their start.
    {RLIMIT_STACK, rlim_t{1} << 20U, "stack size (ulimit -s, LimitSTACK=)", "its threads"},
};

// The supervisor and one of its threads, and each worker with an iperf3. Further threads and what
// else this user runs come on top. Workers that root starts have users of their own.
Status CheckTasks(const Options& options) {
  const rlim_t needed = 2 + rlim_t{2} * options.worker_count;
  rlimit limit = {};
  if (::geteuid() == 0 || ::getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur >= needed) {
    return {};
  }
  return MakeError("--worker.count=" + std::to_string(options.worker_count) +
                   ": this user may have " + std::to_string(limit.rlim_cur) +
                   " processes and threads, and the exporter needs " + std::to_string(needed) +
                   " (ulimit -u, LimitNPROC=)");
}

Status CheckMinLimits() {
  for (const MinLimit& min : kMinLimits) {
    rlimit limit = {};
    if (::getrlimit(min.resource, &limit) != 0 || limit.rlim_cur >= min.bytes) continue;
    return MakeError("the limit on " + std::string(min.name) + " is " +
                     std::to_string(limit.rlim_cur) + " bytes; iperf3 needs " +
                     std::to_string(min.bytes) + " for " + min.use);
  }
  return {};
}

// Listeners, the loop, the lock and files, with a margin; a socket for each name lookup; a socket
// and a pidfd for each worker.
std::size_t OwnDescriptors(const Options& options) {
  return 100 + kMaxResolverThreads + std::size_t{2} * options.worker_count;
}

std::string LayersIn(LayerState state, const LayerStates& states) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < kSandboxLayerCount; ++i) {
    if (states[i] == state) names.push_back(kSandboxLayerNames[i]);
  }
  return Join(names, ",");
}

}  // namespace

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

Status CheckSystem() {
  for (const char* path : {"/proc/self/fd/", "/dev/null"}) {
    if (::access(path, R_OK) != 0) return ErrnoError(std::string("this system lacks ") + path);
  }
  return {};
}

Status PrepareLimits(const Options& options) {
  // A log file that reaches the limit must not end the process: its lines are lost instead.
  std::signal(SIGXFSZ, SIG_IGN);
  if (Status status = CheckMinLimits(); !status) return status;
  if (Status status = CheckTasks(options); !status) return status;
  const auto descriptors = RaiseToHardLimit(RLIMIT_NOFILE);
  if (!descriptors) return tl::unexpected(descriptors.error());
  const std::size_t own = OwnDescriptors(options);
  if (*descriptors >= options.max_connections + own) return {};
  return MakeError("--web.max-connections=" + std::to_string(options.max_connections) + " needs " +
                   std::to_string(options.max_connections + own) + " descriptors, " +
                   std::to_string(own) + " of them for the exporter itself; the limit is " +
                   std::to_string(*descriptors) + " (ulimit -n, LimitNOFILE=)");
}

void LimitThreadStacks() {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  ::pthread_attr_setstacksize(&attributes, kSupervisorThreadStackBytes);
  ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

void LogSandbox(const LayerStates& supervisor, const SandboxReport& report) {
  LayerStates best{};  // of the two processes: some layers are for one of them
  std::ranges::transform(report.worker, report.iperf3, best.begin(),
                         [](LayerState a, LayerState b) { return std::max(a, b); });
  const std::string not_offered = LayersIn(LayerState::kNotOffered, best);
  const std::string missing[] = {LayersIn(LayerState::kMissing, supervisor),
                                 LayersIn(LayerState::kMissing, report.worker),
                                 LayersIn(LayerState::kMissing, report.iperf3)};
  if (std::ranges::all_of(missing, &std::string::empty)) {
    return Log(LogLevel::kInfo, "sandbox: every available layer is enabled",
               {{"not_offered", not_offered}});
  }
  Log(LogLevel::kWarn, "sandbox: incomplete",
      {{"missing_in_supervisor", missing[0]},
       {"missing_in_worker", missing[1]},
       {"missing_in_iperf3", missing[2]},
       {"not_offered", not_offered}});
}

}  // namespace iperf3_exporter
