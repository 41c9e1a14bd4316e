#include "worker/iperf3_child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace iperf3_exporter {
namespace {

// What the child writes for its parent, whose memory it shares until the exec.
struct ChildFailure {
  const char* volatile step = nullptr;
  volatile int error_number = 0;
};

// Dispositions and mask survive an exec; iperf3 expects the defaults.
bool ResetSignals() {
  struct sigaction fresh = {};
  fresh.sa_handler = SIG_DFL;
  for (const int ignored : {SIGPIPE, SIGTERM, SIGINT}) {
    if (::sigaction(ignored, &fresh, nullptr) != 0) return false;
  }
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// Close-on-exec comes off in the child only, so that nothing but iperf3 ever gets it.
bool Inherit(int fd) { return fd < 0 || ::fcntl(fd, F_SETFD, 0) == 0; }

// Async-signal-safe, and changes nothing of the parent's memory but `failure`. Gives the
// step that failed, or does not return.
const char* PrepareAndExec(const ChildPlan& plan, pid_t parent) {
  if (!ResetSignals()) return "signals";
  if (::setpgid(0, 0) != 0) return "process group";
  // First ask for the signal, then look: a parent that died in between shows as another parent.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "parent-death signal";
  if (::getppid() != parent) return "parent died";
  if (::dup3(plan.stdout_fd, STDOUT_FILENO, 0) < 0) return "standard output";
  if (::dup3(plan.stderr_fd, STDERR_FILENO, 0) < 0) return "standard error";
  if (!Inherit(plan.inherited_fd)) return "lock";
  if (!Inherit(plan.sandbox->temporary_fd())) return "temporary folder";
  if (const char* step = plan.sandbox->Enter(plan.restrictions)) return step;
  ::syscall(SYS_execveat, plan.program_fd, plan.sandbox->exec_path(), plan.argv, plan.environment,
            AT_EMPTY_PATH);
  return "execute";
}

// vfork, because its cost does not grow with the worker, and because the child can name
// the step that failed without a pipe. Nothing is kept in this frame across the call.
[[gnu::noinline]] pid_t ForkAndExec(const ChildPlan& plan, pid_t parent, ChildFailure& failure) {
  const pid_t pid = ::vfork();
  if (pid == 0) {
    failure.step = PrepareAndExec(plan, parent);
    failure.error_number = errno;
    ::_exit(127);
  }
  return pid;
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

Result<Iperf3Child> Iperf3Child::Spawn(const ChildPlan& plan) {
  ChildFailure failure;
  const pid_t pid = ForkAndExec(plan, ::getpid(), failure);
  if (pid < 0) return ErrnoError("fork");
  if (failure.step != nullptr) {
    WaitFor(pid);
    return MakeError(ErrnoText(failure.step, failure.error_number));
  }
  // The pid can't have been reused: nobody else reaps it.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int error_number = errno;
  Iperf3Child child(pid, std::move(pidfd));
  if (child.pidfd() < 0) return MakeError(ErrnoText("pidfd_open", error_number));
  return child;
}

Iperf3Child::Iperf3Child(Iperf3Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Iperf3Child::~Iperf3Child() {
  if (pid_ > 0) {
    Signal(SIGKILL);
    static_cast<void>(Reap());
  }
}

// Not by kill(3): the filter compares the whole register, so its upper half must be zero.
void Iperf3Child::Signal(int signal_number) const {
  ::syscall(SYS_kill, static_cast<unsigned>(-pid_), signal_number);
}

int Iperf3Child::Reap() {
  siginfo_t ended = {};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  // While the leader is not reaped its group's number can't be another's.
  Signal(SIGKILL);
  return WaitFor(std::exchange(pid_, -1));
}

}  // namespace iperf3_exporter
