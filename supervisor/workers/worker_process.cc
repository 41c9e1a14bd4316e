#include "supervisor/workers/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/wire/seqpacket.h"

namespace iperf3_exporter {
namespace {

class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // If `socket` is already descriptor 3, posix_spawn clears close-on-exec, unlike dup2.
  void UseSocket(int socket) {
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, socket, kWorkerSocketFd);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, kWorkerSocketFd + 1);
  }

  // An ignored SIGPIPE would be inherited. In its own session a worker gets no Ctrl-C from the
  // terminal, which only makes the supervisor drain, and it can't signal the supervisor's process
  // group.
  void ResetSignals() {
    sigset_t all;
    sigset_t none;
    ::sigfillset(&all);
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes,
                               POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::string EndText(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return "exit status " + std::to_string(info.si_status);
  return "signal " + std::to_string(info.si_status);
}

}  // namespace

void AwaitExit(int pidfd, Deadline limit) {
  pollfd exit{pidfd, POLLIN, 0};
  while (::poll(&exit, 1, PollMilliseconds(limit)) < 0 && errno == EINTR) {
  }
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::Spawn(const std::string& path) {
  auto pair = CreateSeqpacketPair();
  if (!pair) return tl::unexpected(pair.error());
  SpawnSettings settings;
  settings.UseSocket(pair->second.get());
  settings.ResetSignals();
  std::string name = path;
  // An exporter that is given as the worker by mistake refuses this flag, rather than serve.
  std::string flag = "--worker";
  char* const argv[] = {name.data(), flag.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, path.c_str(), &settings.actions, &settings.attributes, argv, environment);
  if (error != 0) {
    errno = error;
    return ErrnoError("cannot start " + path);
  }
  // Only we reap this pid, so it can't have been reused.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    const auto failure = ErrnoError("pidfd_open");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return failure;
  }
  ::fcntl(pidfd.get(), F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<WorkerProcess>(
      new WorkerProcess(pid, std::move(pidfd), std::move(pair->first)));
}

WorkerProcess::WorkerProcess(pid_t pid, UniqueFd pidfd, UniqueFd socket)
    : pid_(pid), pidfd_(std::move(pidfd)), socket_(std::move(socket)) {}

WorkerProcess::~WorkerProcess() { KillAndReap(); }

std::string WorkerProcess::KillAndReap() {
  if (reaped_) return {};
  reaped_ = true;
  socket_.Reset();
  ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  siginfo_t info{};
  int got = 0;
  do {
    got = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  } while (got != 0 && errno == EINTR);
  return got == 0 ? EndText(info) : std::string("already reaped");
}

}  // namespace iperf3_exporter
