#include "worker/sandbox/iperf3_sandbox.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "worker/sandbox/diagnosis.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/resource_limits.h"

namespace iperf3_exporter {
namespace {

// More than all processors can spend until the job's end: only an iperf3 that outlives its
// deadline, and so its worker, reaches it.
unsigned CpuSeconds(std::chrono::nanoseconds time, unsigned processors) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count() + 5;
  return static_cast<unsigned>(seconds) * processors;
}

}  // namespace

Iperf3Sandbox::Iperf3Sandbox(Iperf3SandboxOptions options)
    : options_(std::move(options)),
      // Including processors that are offline now. Here, because it reads files.
      processors_(static_cast<unsigned>(std::max(::sysconf(_SC_NPROCESSORS_CONF), 1L))),
      // One malloc arena, because each reserves 64 MiB of the limited address space. glibc's loader
      // can't read the link /proc/self/exe, so it gets $ORIGIN from the environment.
      environment_{"LC_ALL=C", "MALLOC_ARENA_MAX=1", "TMPDIR=" + options_.temporary_path,
                   "LD_ORIGIN_PATH=" + options_.program_directory} {}

const char* Iperf3Sandbox::exec_path() const {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is what the filter compares.
  return options_.filter ? reinterpret_cast<const char*>(kExecPathAddress) : "";
}

Result<PreparedJob> Iperf3Sandbox::PrepareJob(const JobNeeds& needs,
                                              std::chrono::nanoseconds time) const {
  PreparedJob job;
  job.grants = needs.grants;
  job.cpu_seconds = CpuSeconds(time, processors_);
  if (options_.restricts_ports) {
    auto rules = CreatePortRules(needs.port, needs.binds_port);
    if (!rules) return tl::unexpected(rules.error());
    job.port_rules = std::move(*rules);
  }
  if (options_.diagnoses) {
    int fds[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) != 0) {
      return ErrnoError("diagnosis: socketpair");
    }
    job.listener_receiver.Reset(fds[0]);
    job.listener_sender.Reset(fds[1]);
  }
  return job;
}

const char* Iperf3Sandbox::Enter(const PreparedJob& job) const {
  const ResourceLimit limits[] = {{RLIMIT_FSIZE, kFileBytes},
                                  {RLIMIT_NOFILE, kIperf3Descriptors},
                                  {RLIMIT_NPROC, options_.max_tasks},
                                  {RLIMIT_CPU, job.cpu_seconds}};
  for (const auto& [resource, max] : limits) {
    if (!SetResourceLimit(resource, max)) return "limits";
  }
  if (job.port_rules && !RestrictSelf(job.port_rules.get())) return "port rules";
  if (!options_.filter) return nullptr;
  const int listener = options_.filter->Install(job.grants, options_.diagnoses);
  if (listener < 0) return "system call filter";
  if (options_.diagnoses) {
    if (!SendListener(job.listener_sender.get(), listener)) return "diagnosis";
    ::close(listener);
  }
  return nullptr;
}

}  // namespace iperf3_exporter
