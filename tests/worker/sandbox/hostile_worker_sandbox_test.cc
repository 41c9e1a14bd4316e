// What a compromised worker can still do to its supervisor and to other workers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/helpers/stand_in.h"
#include "tests/worker/sandbox/confined_worker.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/seccomp_filter.h"

namespace iperf3_exporter {
namespace {

class HostileWorkerTest : public ConfinedWorkerTest {};

// Data to write.
char g_page[4096];

using stand_in::kLibrary;

TEST_F(HostileWorkerTest, CannotTruncateTheLock) {
  AttackEachLockFd([](int fd) { return ::ftruncate(fd, 0) == 0; });
}

TEST_F(HostileWorkerTest, CannotTruncateTheLockByAnotherSystemCall) {
  AttackEachLockFd([](int fd) {
    return ::syscall(SYS_dup3, fd, STDOUT_FILENO, 0) >= 0 && ::ftruncate(STDOUT_FILENO, 0) == 0;
  });
  AttackEachLockFd([](int fd) {
    const int low = ::fcntl(fd, F_DUPFD, 0);
    return low >= 0 && ::ftruncate(low, 0) == 0;
  });
  // The kernel reads only the lower half of the register.
  AttackEachLockFd([](int fd) {
    return ::syscall(SYS_ftruncate, std::int64_t{fd} | (std::int64_t{1} << 40), 0) == 0;
  });
}

// The filter allows every write, so that the kernel's cache applies. The child lease and the holder
// table are open read-only, and the lock is a FIFO that nobody reads.
TEST_F(HostileWorkerTest, CanWriteToTheLockWithoutAnyEffect) {
  const auto host_lock = HostLock::Open(name_, LockScope::kHost).value();
  int written = 0;
  for (int index = 0; index < 3; ++index) {
    const int status = Attack([&] {
      const int fd = LockFd(index);
      // Until the FIFO is full.
      if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return kRefused;
      const iovec part = {g_page, sizeof g_page};
      bool has_written = ::writev(fd, &part, 1) > 0;
      has_written |= ::sendfile(fd, kProgramFd, nullptr, sizeof g_page) > 0;
      while (::write(fd, g_page, sizeof g_page) > 0) has_written = true;
      return has_written ? kSucceeded : kRefused;
    });
    ASSERT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
    if (WEXITSTATUS(status) == kSucceeded) ++written;
    ExpectLockIntact();
    EXPECT_TRUE(host_lock->Acquire(kKey, {}, Clock::now() + std::chrono::minutes(1), -1));
  }
  EXPECT_EQ(written, 1) << "the FIFO";
}

TEST_F(HostileWorkerTest, CannotDeleteTheLock) {
  if (LandlockAbi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  for (const LockFile file : kLockFiles) {
    const std::string path = LockFilePath(file, name_, LockScope::kHost);
    ExpectAllowed([&] { return ::unlink(path.c_str()) != 0 && errno == EACCES; }, "unlink");
    ExpectAllowed([&] { return ::unlinkat(AT_FDCWD, path.c_str(), 0) != 0 && errno == EACCES; },
                  "unlinkat");
    ExpectLockIntact();
  }
}

TEST_F(HostileWorkerTest, CanWriteToItsOwnFiles) {
  ExpectAllowed(
      [] {
        int fds[2] = {-1, -1};
        const iovec part = {g_page, 1};
        return ::pipe2(fds, 0) == 0 && ::write(fds[1], g_page, 1) == 1 &&
               ::writev(fds[1], &part, 1) == 1 && ::sendfile(fds[1], kProgramFd, nullptr, 1) == 1;
      },
      "a pipe");
  ExpectAllowed([] { return ::write(-1, g_page, 1) < 0 && errno == EBADF; }, "no descriptor");
}

TEST_F(HostileWorkerTest, CannotExecuteTheLocksContent) {
  AttackEachLockFd([](int fd) {
    return ::mmap(nullptr, 1, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) != MAP_FAILED;
  });
  AttackEachLockFd([](int fd) {
    return ::syscall(SYS_mmap, 0, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE,
                     std::int64_t{fd} | (std::int64_t{1} << 40), 0) != -1;
  });
  // By another descriptor of the same file.
  AttackEachLockFd([](int fd) {
    return ::syscall(SYS_dup3, fd, STDIN_FILENO, 0) == STDIN_FILENO &&
           ::mmap(nullptr, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, STDIN_FILENO, 0) != MAP_FAILED;
  });
  ExpectAllowed(
      [&] {
        const int fd = LockFd(2);
        return ::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED;
      },
      "reading the holder table");
  ExpectAllowed(
      [] {
        const int fd = ::open(kLibrary, O_RDONLY);
        return ::mmap(nullptr, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED;
      },
      "a library");
}

// A descriptor of the holder table below the lock's could be mapped executable.
TEST_F(HostileWorkerTest, CannotDuplicateTheLockToAnOrdinaryDescriptor) {
  ExpectFiltered([&] { return ::syscall(SYS_dup3, LockFd(2), 100, 0) >= 0; }, "dup3");
}

// Otherwise iperf3 could execute any path.
TEST_F(HostileWorkerTest, CannotChangeTheExecPath) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the fixed address
  auto* const path = reinterpret_cast<volatile char*>(kExecPathAddress);
  ExpectFiltered(
      [&] {
        return ::mprotect(const_cast<char*>(path), sizeof g_page, PROT_READ | PROT_WRITE) == 0;
      },
      "mprotect");
  const int status = Attack([&] {
    *path = '/';
    return kSucceeded;
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
}

TEST_F(HostileWorkerTest, CannotOutliveItsSupervisor) {
  ExpectFiltered([] { return ::prctl(PR_SET_PDEATHSIG, 0) == 0; }, "no parent-death signal");
  ExpectAllowed([] { return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; }, "SIGKILL");
}

TEST_F(HostileWorkerTest, CannotSignalOtherProcesses) {
  // The worker has the right to signal it; only the filter prevents that.
  const pid_t victim = ::fork();
  if (victim == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  ExpectFiltered([&] { return ::kill(victim, SIGTERM) == 0; }, "kill");
  ExpectFiltered([&] { return ::kill(-victim, SIGKILL) == 0; }, "kill of a group");
  const auto send = [](std::int64_t process, std::int64_t signal_number) {
    return ::syscall(SYS_tgkill, process, process, signal_number) == 0;
  };
  ExpectFiltered([&] { return send(victim, SIGTERM); }, "tgkill");
  ExpectFiltered([&] { return send(victim, SIGKILL | (std::int64_t{1} << 40)); },
                 "tgkill, disguised");
  ExpectAllowed([&] { return !send(victim, SIGABRT) && errno == EPERM; }, "an abort of another");
  ExpectAllowed([&] { return send(::getpid(), 0); }, "tgkill of itself");
  ExpectFiltered([&] { return ::syscall(SYS_pidfd_open, victim, 0) >= 0; }, "pidfd_open");
  ExpectFiltered([&] { return ::syscall(SYS_rt_sigqueueinfo, victim, SIGTERM, nullptr) == 0; },
                 "rt_sigqueueinfo");
  int status = 0;
  EXPECT_EQ(::waitpid(victim, &status, WNOHANG), 0) << "the victim lives";
  ::kill(victim, SIGKILL);
  ::waitpid(victim, &status, 0);
}

// With a pidfd of the supervisor, which created the socket, it could signal the supervisor.
TEST_F(HostileWorkerTest, CannotGetDescriptorsOfItsSupervisor) {
  constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, Linux 6.5
  const auto ask = [&](std::int64_t option) {
    int answer[3] = {};
    socklen_t size = sizeof answer;
    return ::syscall(SYS_getsockopt, link_fd_, SOL_SOCKET, option, answer, &size) == 0;
  };
  ExpectFiltered([&] { return ask(kPeerPidfd); }, "SO_PEERPIDFD");
  ExpectFiltered([&] { return ask(kPeerPidfd | (std::int64_t{1} << 40)); },
                 "SO_PEERPIDFD, disguised");
  ExpectFiltered([&] { return ask(SO_PEERCRED); }, "SO_PEERCRED");
  ExpectAllowed([&] { return ask(SO_RCVBUF); }, "SO_RCVBUF");
  ExpectFiltered([&] { return ::syscall(SYS_pidfd_getfd, link_fd_, 0, 0) >= 0; }, "pidfd_getfd");
}

TEST_F(HostileWorkerTest, CannotJoinOtherProcessGroups) {
  // Not getpgrp(), which is 0 if the group's leader is outside this PID namespace.
  const pid_t group = ::getpid();
  ExpectFiltered([&] { return ::setpgid(0, group) == 0; }, "setpgid to another group");
  ExpectFiltered([&] { return ::setpgid(::getpid(), 0) == 0; }, "setpgid by number");
  ExpectAllowed([] { return ::setpgid(0, 0) == 0; }, "a group of its own");
}

TEST_F(HostileWorkerTest, CannotAccessOtherProcesses) {
  const pid_t supervisor = ::getpid();
  const std::string memory = "/proc/" + std::to_string(supervisor) + "/mem";
  ExpectAllowed([&] { return ::open(memory.c_str(), O_RDONLY) < 0 && errno == EACCES; },
                "its memory");
  ExpectFiltered([&] { return ::open(memory.c_str(), O_RDWR) >= 0; }, "its memory, to write");
  ExpectFiltered(
      [&] {
        iovec part = {g_page, 1};
        return ::process_vm_readv(supervisor, &part, 1, &part, 1, 0) > 0;
      },
      "process_vm_readv");
  ExpectFiltered(
      [&] {
        rlimit limit = {};
        return ::prlimit(supervisor, RLIMIT_NOFILE, nullptr, &limit) == 0;
      },
      "prlimit of the supervisor");
  ExpectAllowed(
      [] {
        rlimit limit = {};
        return ::prlimit(0, RLIMIT_NOFILE, nullptr, &limit) == 0;
      },
      "its own limits");
  ExpectFiltered([&] { return ::setpriority(PRIO_PROCESS, supervisor, 19) == 0; },
                 "the priority of the supervisor");
  ExpectAllowed([] { return ::setpriority(PRIO_PROCESS, 0, 19) == 0; }, "its own priority");
}

TEST_F(HostileWorkerTest, CannotStartProcessesOrListen) {
  ExpectFiltered(
      [] {
        char* const argv[] = {g_page, nullptr};
        return ::execve("/bin/true", argv, argv) == 0;
      },
      "execve");
  ExpectFiltered([] { return ::fork() >= 0; }, "fork");
  ExpectFiltered([] { return ::listen(::socket(AF_INET, SOCK_STREAM, 0), 1) == 0; }, "listen");
  ExpectAllowed([] { return ::socket(AF_INET, SOCK_STREAM, 0) >= 0; }, "a socket");
}

// Under a service manager, standard error is a socket that carries the whole log.
TEST_F(HostileWorkerTest, CannotShutDownASharedLogSocket) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd reader(fds[0]);
  shared_error_.Reset(fds[1]);
  constexpr std::int64_t kDisguised = STDERR_FILENO | (std::int64_t{1} << 40);
  const int size = 1;
  ExpectFiltered([] { return ::shutdown(STDERR_FILENO, SHUT_RDWR) == 0; }, "shutdown");
  ExpectFiltered([] { return ::syscall(SYS_shutdown, kDisguised, SHUT_RDWR) == 0; },
                 "shutdown, disguised");
  ExpectFiltered([] { return ::fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0; }, "F_SETFL");
  ExpectFiltered([] { return ::syscall(SYS_fcntl, kDisguised, F_SETFL, O_NONBLOCK) == 0; },
                 "F_SETFL, disguised");
  ExpectFiltered(
      [&] { return ::setsockopt(STDERR_FILENO, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0; },
      "setsockopt");
  const sockaddr nobody = {.sa_family = AF_UNSPEC, .sa_data = {}};
  ExpectFiltered([&] { return ::connect(STDERR_FILENO, &nobody, sizeof nobody) == 0; },
                 "connect to nobody");
  ExpectFiltered([&] { return ::bind(STDERR_FILENO, &nobody, sizeof nobody) == 0; }, "bind");
  // By another descriptor of the same file.
  ExpectFiltered(
      [] {
        return ::syscall(SYS_dup3, STDERR_FILENO, STDOUT_FILENO, 0) == STDOUT_FILENO &&
               ::shutdown(STDOUT_FILENO, SHUT_RDWR) == 0;
      },
      "shutdown by another number");
  EXPECT_EQ(::fcntl(shared_error_.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::send(shared_error_.get(), "x", 1, MSG_NOSIGNAL), 1);
  ExpectAllowed([] { return ::write(STDERR_FILENO, "x", 1) == 1; }, "a line of the log");
  ExpectAllowed(
      [&] {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        return ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0 &&
               ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && ::shutdown(fd, SHUT_RDWR) != 0 &&
               errno == ENOTCONN;
      },
      "a socket of its own");
}

TEST_F(HostileWorkerTest, CannotChangeTheLogFile) {
  char path[] = "/tmp/hostile_worker_test.XXXXXX";
  shared_error_.Reset(::mkstemp(path));
  ASSERT_TRUE(shared_error_);
  ::unlink(path);
  ASSERT_EQ(::write(shared_error_.get(), "line\n", 5), 5);
  ExpectFiltered([] { return ::ftruncate(STDERR_FILENO, 0) == 0; }, "ftruncate");
  ExpectFiltered([] { return ::lseek(STDERR_FILENO, 0, SEEK_SET) == 0; }, "lseek");
  EXPECT_GE(::lseek(shared_error_.get(), 0, SEEK_CUR), 5);
  ExpectAllowed([] { return ::lseek(::open(kLibrary, O_RDONLY), 0, SEEK_SET) == 0; },
                "lseek of its own");
}

// The counterpart: what the filter allows.
TEST_F(HostileWorkerTest, CanStillWork) {
  ExpectAllowed([] { return ::syscall(SYS_getpid) > 0; }, "getpid");
}

}  // namespace
}  // namespace iperf3_exporter
