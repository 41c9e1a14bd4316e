#include "worker/loop/worker_loop.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "common/cancel_signal.h"
#include "common/lock/host_lock.h"
#include "common/logging.h"
#include "common/text.h"
#include "common/wire/wire.h"
#include "worker/iperf3/iperf3_executable.h"
#include "worker/iperf3/iperf3_inspect.h"
#include "worker/loop/job_runner.h"
#include "worker/loop/supervisor_link.h"
#include "worker/process/iperf3_process.h"
#include "worker/sandbox/parent_death.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/worker_sandbox.h"

namespace iperf3_exporter {
namespace {

constexpr int kExitFailure = 1;

// Everything that a job needs, in order of its set-up. Not movable: the parts refer to each other.
class Worker {
 public:
  explicit Worker(int link_fd) : link_(link_fd) {}

  int Run() {
    const auto config = link_.ReceiveConfig();
    if (!config) return Fail(config.error());
    InitLogging("iperf3_exporter_worker", static_cast<LogLevel>(config->log_level),
                config->log_json ? LogFormat::kJson : LogFormat::kLogfmt);
    const auto ready = SetUp(*config);
    if (!ready) {
      static_cast<void>(link_.Send(
          wire::SetUpFailed{ToPrintable(ready.error().message), ready.error().is_transient}));
      return kExitFailure;
    }
    if (const Status sent = link_.Send(*ready); !sent) return Fail(sent.error());
    process_->Reset();
    const Status served = Serve(ready->iperf3.capabilities);
    return served ? 0 : Fail(served.error());
  }

 private:
  Result<WorkerReady> SetUp(const WorkerConfig& config) {
    if (Status raised = RaiseDescriptorLimit(); !raised) return tl::unexpected(raised.error());
    if (config.lock_scope != LockScope::kNone) {
      auto lock = HostLock::Open(config.lock_name, config.lock_scope, kLowestLockFd);
      if (!lock) return tl::unexpected(lock.error());
      host_lock_ = std::move(*lock);
    }
    const auto program = OpenIperf3(config.iperf3_path);
    if (!program) return tl::unexpected(program.error());
    auto sandbox = EnterWorkerSandbox({.mode = config.sandbox,
                                       .is_first = !config.known_iperf3,
                                       .link_fd = link_.fd(),
                                       .program_fd = program->get()});
    if (!sandbox) return tl::unexpected(sandbox.error());
    sandbox_.emplace(std::move(*sandbox));
    auto process = CreateProcess();
    if (!process) return tl::unexpected(process.error());
    process_.emplace(std::move(*process));
    auto iperf3 = DescribeIperf3(config.known_iperf3);
    if (!iperf3) return tl::unexpected(iperf3.error());
    return WorkerReady{.iperf3 = std::move(*iperf3), .sandbox = sandbox_->report};
  }

  Result<Iperf3Process> CreateProcess() {
    return Iperf3Process::Create(sandbox_->program.get(), &sandbox_->iperf3);
  }

  // Runs iperf3 unless another worker has described the same program.
  Result<Iperf3Description> DescribeIperf3(const std::optional<Iperf3Description>& known) {
    const auto program = IdentityOf(sandbox_->program.get());
    if (!program) return tl::unexpected(program.error());
    if (known && known->program == *program) return *known;
    auto second = CreateProcess();
    if (!second) return tl::unexpected(second.error());
    return RunInspection(*process_, *second, *program);
  }

  Status Serve(const Iperf3Capabilities& capabilities) {
    JobRunner runner(host_lock_.get(), *process_, sandbox_->temporary, link_, capabilities);
    for (;;) {
      auto job = link_.ReceiveJob();
      if (!job) return tl::unexpected(job.error());
      if (!*job) return {};
      const wire::Event end = runner.Run(**job);
      WipePassword(**job);
      // If the supervisor has died, ReceiveJob notices it.
      static_cast<void>(link_.Send(end));
      // Lets the supervisor, which was usually woken on this processor, respond before the
      // clean-up.
      ::sched_yield();
      process_->Reset();
      // Last, because it takes longer the more files iperf3 has left.
      sandbox_->temporary.Clean();
    }
  }

  // So that whoever compromises this worker later does not find it.
  static void WipePassword(Job& job) {
    if (!job.credentials) return;
    std::string& password = job.credentials->password;
    ::explicit_bzero(password.data(), password.size());
  }

  static int Fail(const Error& error) {
    Log(LogLevel::kError, "worker exits", {{"detail", error.message}});
    return kExitFailure;
  }

  SupervisorLink link_;
  std::unique_ptr<HostLock> host_lock_;
  std::optional<WorkerSandbox> sandbox_;
  std::optional<Iperf3Process> process_;
};

// Input and output become /dev/null, and so does standard error if it was closed. Otherwise a file
// that is opened later would get its number and receive the log lines.
bool ReserveStandardDescriptors() {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return false;
  // If this descriptor is itself a standard one, it must stay open.
  UniqueFd above(::fcntl(null.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (null.get() <= STDERR_FILENO) static_cast<void>(null.Release());
  if (!above || ::dup2(above.get(), STDIN_FILENO) < 0) return false;
  if (::dup2(above.get(), STDOUT_FILENO) < 0) return false;
  const int flags = ::fcntl(STDERR_FILENO, F_GETFD);
  // Not open, or opened just now by this function.
  const bool was_closed = flags < 0 || (flags & FD_CLOEXEC) != 0;
  return !was_closed || ::dup2(above.get(), STDERR_FILENO) >= 0;
}

bool KeepOnlyDescriptor(int link_fd) {
  if (link_fd <= STDERR_FILENO) return false;
  if (link_fd > STDERR_FILENO + 1 && ::close_range(STDERR_FILENO + 1, link_fd - 1, 0) != 0) {
    return false;
  }
  if (::close_range(static_cast<unsigned>(link_fd) + 1, UINT_MAX, 0) != 0) return false;
  return ::fcntl(link_fd, F_SETFD, FD_CLOEXEC) == 0 && ReserveStandardDescriptors();
}

}  // namespace

int RunWorker(int link_fd) {
  if (!KeepOnlyDescriptor(link_fd)) return kExitFailure;
  // A write to a closed pipe or socket fails with EPIPE instead.
  std::signal(SIGPIPE, SIG_IGN);
  // Only the supervisor decides when a worker exits: Ctrl-C, or a service manager that signals the
  // whole group, must not end a test while the supervisor drains.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  // An administrator may send it to every process of the exporter; only the supervisor reloads.
  std::signal(SIGHUP, SIG_IGN);
  IgnoreCancelSignal();
  // A session without a terminal. Fails if the supervisor has already made us a session leader.
  if (::setsid() < 0 && ::getsid(0) != ::getpid()) return kExitFailure;
  if (const Status armed = ArmParentDeath(link_fd); !armed) return kExitFailure;
  Worker worker(link_fd);
  return worker.Run();
}

}  // namespace iperf3_exporter
