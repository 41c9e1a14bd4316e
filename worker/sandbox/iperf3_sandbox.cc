#include "worker/sandbox/iperf3_sandbox.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "worker/sandbox/diagnosis.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/resource_limits.h"

namespace iperf3_exporter {
namespace {

// Beyond what its processors can give in the time that it has: only a run that outlived its
// deadline, and with it its worker, ends by this.
unsigned CpuSeconds(std::chrono::nanoseconds time, unsigned processors) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count() + 5;
  return static_cast<unsigned>(seconds) * processors;
}

// Those of iperf3's limits that it does not inherit from the worker.
std::vector<ResourceLimit> LimitsLeft(rlim_t most_tasks) {
  std::vector<ResourceLimit> left(kIperf3Limits.begin(), kIperf3Limits.end());
  left.push_back({RLIMIT_NPROC, most_tasks});
  std::erase_if(left, IsInForce);
  return left;
}

}  // namespace

Iperf3Sandbox::Iperf3Sandbox(Iperf3SandboxOptions options)
    : options_(std::move(options)),
      // Those that may be switched on later count too. Asked here once: it reads files.
      processors_(static_cast<unsigned>(std::max(::sysconf(_SC_NPROCESSORS_CONF), 1L))),
      // One malloc arena: each further one would reserve 64 MiB of the address space allotted.
      environment_{"LC_ALL=C", "MALLOC_ARENA_MAX=1", "TMPDIR=" + options_.temporary_path},
      limits_(LimitsLeft(options_.most_tasks)) {}

const char* Iperf3Sandbox::exec_path() const {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is what the filter compares.
  return options_.filter ? reinterpret_cast<const char*>(kExecPathAddress) : "";
}

Result<PreparedJob> Iperf3Sandbox::PrepareJob(std::uint16_t port, bool binds_port,
                                              std::chrono::nanoseconds time) const {
  PreparedJob job;
  job.cpu_seconds = CpuSeconds(time, processors_);
  if (options_.restricts_ports) {
    auto rules = CreatePortRules(port, binds_port);
    if (!rules) return tl::unexpected(rules.error());
    job.port_rules = std::move(*rules);
  }
  if (options_.diagnoses) {
    int fds[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) != 0) {
      return ErrnoError("diagnosis: socketpair");
    }
    job.diagnosis.Reset(fds[0]);
    job.diagnosis_child.Reset(fds[1]);
  }
  return job;
}

const char* Iperf3Sandbox::Enter(const JobRestrictions& restrictions) const {
  if (!options_.temporary_path.empty()) {
    if (!LowerLimits(limits_)) return "limits";
    if (!LowerLimit({RLIMIT_CPU, restrictions.cpu_seconds})) return "limit of processor time";
  }
  if (restrictions.port_rules_fd >= 0 && !RestrictSelf(restrictions.port_rules_fd)) {
    return "port rules";
  }
  if (!options_.filter) return nullptr;
  const int listener = options_.filter->Install(options_.diagnoses);
  if (listener < 0) return "system call filter";
  if (options_.diagnoses) {
    if (!SendListener(restrictions.diagnosis_fd, listener)) return "diagnosis";
    ::close(listener);
  }
  return nullptr;
}

}  // namespace iperf3_exporter
