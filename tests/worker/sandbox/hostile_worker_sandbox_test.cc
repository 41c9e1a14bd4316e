// What a compromised worker can still do to its supervisor and to other workers. The attacks are
// made by a process that has set itself up like a worker.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "common/wire/seqpacket.h"
#include "tests/common/lock/lock_fixture.h"
#include "tests/test_paths.h"
#include "worker/iperf3/iperf3_executable.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"
#include "worker/sandbox/worker_sandbox.h"

namespace iperf3_exporter {
namespace {

// The exit status of an attacker that the filter did not kill.
constexpr int kRefused = 0;
constexpr int kSucceeded = 1;
constexpr int kNoSuchDescriptor = 2;
constexpr int kNoSandbox = 3;

class HostileWorkerTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(CreateLockFiles(name_, LockScope::kHost)); }
  void TearDown() override { RemoveLockFiles(name_, LockScope::kHost); }

  // The wait status of a confined worker that makes `attack`.
  int Attack(const std::function<int()>& attack) {
    auto link = CreateSeqpacketPair().value();
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(SetUpAndAttack(link.second.get(), attack));
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == kNoSandbox);
    return status;
  }

  // The descriptor number `index` of those that this process has on the lock's files; -1: no more.
  int LockFd(int index) {
    struct stat lock = {};
    struct stat table = {};
    // By descriptor, because the sandbox allows no path.
    if (::fstat(lock_.get(), &lock) != 0 || ::fstat(table_.get(), &table) != 0) return -1;
    for (int fd = 0; fd < kProgramFd; ++fd) {
      struct stat info = {};
      if (fd == lock_.get() || fd == table_.get() || ::fstat(fd, &info) != 0) continue;
      if (info.st_ino != lock.st_ino && info.st_ino != table.st_ino) continue;
      if (index-- == 0) return fd;
    }
    return -1;
  }

  void ExpectLockIntact() {
    for (const LockFile file : kLockFiles) {
      const auto fd = OpenLockFile(file, name_, LockScope::kHost, O_RDONLY);
      EXPECT_TRUE(fd) << fd.error().message;
    }
    const auto monitor = LockMonitor::Open(name_, LockScope::kHost);
    ASSERT_TRUE(monitor) << monitor.error().message;
    EXPECT_TRUE(monitor->Read().holders.empty());
  }

  // Makes the attack on each descriptor that a worker has on the lock's files.
  void AttackEachLockFd(const std::function<bool(int)>& attack) {
    int attacked = 0;
    for (; !HasFailure(); ++attacked) {
      const int status = Attack([&] {
        const int fd = LockFd(attacked);
        if (fd < 0) return kNoSuchDescriptor;
        return attack(fd) ? kSucceeded : kRefused;
      });
      ExpectLockIntact();
      if (WIFSIGNALED(status)) {
        EXPECT_EQ(WTERMSIG(status), SIGSYS);
        continue;
      }
      if (WEXITSTATUS(status) == kNoSuchDescriptor) break;
      EXPECT_EQ(WEXITSTATUS(status), kRefused);
    }
    EXPECT_EQ(attacked, 3) << "the lock's two and the holder table's";
  }

  // The filter kills a worker that makes `attack`.
  void ExpectFiltered(const std::function<bool()>& attack, const char* what) {
    const int status = Attack([&] { return attack() ? kSucceeded : kRefused; });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        << what << ": wait status " << status;
  }

  void ExpectAllowed(const std::function<bool()>& action, const char* what) {
    const int status = Attack([&] { return action() ? kSucceeded : kRefused; });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kSucceeded)
        << what << ": wait status " << status;
  }

  const std::string name_ = "hostile_worker_test." + std::to_string(::getpid());
  // In the worker: its end of the socket that this process, the supervisor, has created.
  int link_fd_ = -1;
  // If set: the worker's standard error, shared with this process.
  UniqueFd shared_error_;

 private:
  int SetUpAndAttack(int link_fd, const std::function<int()>& attack) {
    link_fd_ = link_fd;
    if (shared_error_ && ::dup2(shared_error_.get(), STDERR_FILENO) < 0) return kNoSandbox;
    lock_ = OpenLockFile(LockFile::kLock, name_, LockScope::kHost, O_RDONLY).value();
    table_ = OpenLockFile(LockFile::kHolders, name_, LockScope::kHost, O_RDONLY).value();
    if (!RaiseDescriptorLimit()) return kNoSandbox;
    const auto host_lock = HostLock::Open(name_, LockScope::kHost, kLowestLockFd);
    const auto program = OpenIperf3(BuiltProgram("fake_iperf3"));
    if (!host_lock || !program) return kNoSandbox;
    const auto sandbox = EnterWorkerSandbox({.mode = SandboxMode::kRequire,
                                             .worker_index = 0,
                                             .link_fd = link_fd,
                                             .program_fd = program->get()});
    if (!sandbox) return kNoSandbox;
    const int end = attack();
    ::_exit(end);
  }

  UniqueFd lock_;
  UniqueFd table_;
};

// Data to write.
char g_page[4096];

constexpr char kLibrary[] = "/lib64/ld-linux-x86-64.so.2";

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
