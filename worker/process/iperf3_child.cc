#include "worker/process/iperf3_child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <utility>

namespace iperf3_exporter {
namespace {

constexpr unsigned kProcessGroup = 1U << 2U;  // PIDFD_SIGNAL_PROCESS_GROUP

// Ignored signals and the signal mask survive an exec, but iperf3 expects the defaults.
bool ResetSignals() {
  struct sigaction fresh = {};
  fresh.sa_handler = SIG_DFL;
  for (const int changed : {SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGCONT}) {
    if (::sigaction(changed, &fresh, nullptr) != 0) return false;
  }
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// Clears close-on-exec in the child only, so that no other program can inherit it.
bool Inherit(int fd) { return fd < 0 || ::fcntl(fd, F_SETFD, 0) == 0; }

// Below the worker, which otherwise may get no processor time at the deadline: iperf3 3.16 and 3.17
// spin with many streams of a limited rate. Not essential: a service manager's filter may deny it.
void LowerPriority() {
  constexpr int kNiceIncrement = 5;
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  ::setpriority(PRIO_PROCESS, 0, nice + kNiceIncrement);
}

// Async-signal-safe. Changes nothing in the parent's memory but errno. Returns the step that
// failed, or does not return.
const char* PrepareAndExec(const ChildPlan& plan, pid_t parent) {
  if (!ResetSignals()) return "signals";
  if (::setpgid(0, 0) != 0) return "process group";
  LowerPriority();
  // In this order: if the parent dies in between, getppid returns another pid.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "parent-death signal";
  if (::getppid() != parent) return "parent died";
  if (::dup3(plan.stdout_fd, STDOUT_FILENO, 0) < 0) return "standard output";
  if (::dup3(plan.stderr_fd, STDERR_FILENO, 0) < 0) return "standard error";
  // The lowest descriptor: the kernel finishes the files of a dying process from the highest
  // descriptor to the lowest, so the lease ends after every socket is closed.
  if (plan.lease_fd >= 0 && ::dup3(plan.lease_fd, STDIN_FILENO, 0) < 0) return "lock";
  if (!Inherit(plan.sandbox->temporary_fd())) return "temporary directory";
  if (const char* step = plan.sandbox->Enter(*plan.job)) return step;
  ::syscall(SYS_execveat, plan.program_fd, plan.sandbox->exec_path(), plan.argv, plan.environment,
            AT_EMPTY_PATH);
  return "execute";
}

struct Launch {
  const ChildPlan& plan;
  pid_t parent;
  // Written by the child, which shares its parent's memory until the exec.
  const char* volatile failed_step = nullptr;
  volatile int error_number = 0;
};

int RunChild(void* argument) {
  auto& launch = *static_cast<Launch*>(argument);
  launch.failed_step = PrepareAndExec(launch.plan, launch.parent);
  launch.error_number = errno;
  ::_exit(127);
}

// Like vfork: the cost does not depend on the worker's memory, and the child can name the failed
// step without a pipe. clone returns the pidfd, so the filter need not allow pidfds of other
// processes.
pid_t CloneAndExec(Launch& launch, UniqueFd& pidfd) {
  constexpr std::size_t kStackBytes = std::size_t{64} << 10U;
  alignas(std::max_align_t) char stack[kStackBytes];
  int fd = -1;
  const pid_t pid = ::clone(RunChild, stack + sizeof stack,
                            CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &launch, &fd);
  if (pid > 0) pidfd.Reset(fd);
  return pid;
}

// As wait(2) returns it.
int WaitStatus(const siginfo_t& ended) {
  return ended.si_code == CLD_EXITED ? W_EXITCODE(ended.si_status, 0)
                                     : W_EXITCODE(0, ended.si_status);
}

void Reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Iperf3Child> Iperf3Child::Spawn(const ChildPlan& plan) {
  Launch launch = {.plan = plan, .parent = ::getpid()};
  UniqueFd pidfd;
  const pid_t pid = CloneAndExec(launch, pidfd);
  if (pid < 0) return ErrnoError("clone");
  if (launch.failed_step != nullptr) {
    Reap(pid);
    return MakeError(ErrnoText(launch.failed_step, launch.error_number));
  }
  return Iperf3Child(pid, std::move(pidfd));
}

Iperf3Child::Iperf3Child(Iperf3Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Iperf3Child::~Iperf3Child() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    Reap(pid_);
  }
}

void Iperf3Child::Signal(int signal_number) const {
  const auto send = [&](unsigned flags) {
    return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal_number, nullptr, flags);
  };
  // Before Linux 6.9: only the process. In its sandbox it can't start others.
  if (send(kProcessGroup) != 0 && errno == EINVAL) send(0);
}

int Iperf3Child::WaitForEnd() {
  siginfo_t ended = {};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  // The group's number can't be reused before its leader is reaped.
  Signal(SIGKILL);
  return WaitStatus(ended);
}

}  // namespace iperf3_exporter
