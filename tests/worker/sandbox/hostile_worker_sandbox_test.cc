// What a worker that an attacker has taken over can still do to its supervisor and to other
// workers: the attacks are made by a process that has set itself up as a worker does.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "common/lock/board_memory.h"
#include "common/lock/lock_board.h"
#include "common/lock/lock_objects.h"
#include "common/lock/lock_table.h"
#include "common/wire/seqpacket.h"
#include "worker/iperf3/iperf3_executable.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/worker_sandbox.h"

namespace iperf3_exporter {
namespace {

// How an attacker ends that was not ended by the filter.
constexpr int kRefused = 0;
constexpr int kSucceeded = 1;
constexpr int kNoSuchDescriptor = 2;
constexpr int kNoSandbox = 3;

class HostileWorkerTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(CreateLockObjects(name_, 1)); }
  void TearDown() override {
    ::unlink(LockMutexPath(name_, 1, 0).c_str());
    ::unlink(LockBoardPath(name_, 1).c_str());
  }

  // The wait status of a worker that, once confined, makes `attack`.
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
    struct stat mutex = {};
    struct stat board = {};
    // Asked of the descriptors, because no path may be looked up any more.
    if (::fstat(mutex_.get(), &mutex) != 0 || ::fstat(board_.get(), &board) != 0) return -1;
    for (int fd = 0; fd < kProgramFd; ++fd) {
      struct stat info = {};
      if (fd == mutex_.get() || fd == board_.get() || ::fstat(fd, &info) != 0) continue;
      if (info.st_ino != mutex.st_ino && info.st_ino != board.st_ino) continue;
      if (index-- == 0) return fd;
    }
    return -1;
  }

  void ExpectWholeLock() {
    for (const auto& path : {LockMutexPath(name_, 1, 0), LockBoardPath(name_, 1)}) {
      struct stat info = {};
      ASSERT_EQ(::stat(path.c_str(), &info), 0);
      EXPECT_GT(info.st_size, 0) << path;
    }
    const auto board = LockBoard::Open(name_, 1);
    ASSERT_TRUE(board) << board.error().message;
    EXPECT_FALSE(board->Read(0));
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
      ExpectWholeLock();
      if (WIFSIGNALED(status)) {
        EXPECT_EQ(WTERMSIG(status), SIGSYS);
        continue;
      }
      if (WEXITSTATUS(status) == kNoSuchDescriptor) break;
      EXPECT_EQ(WEXITSTATUS(status), kRefused);
    }
    EXPECT_EQ(attacked, 3) << "the mutex's two and the board's";
  }

  const std::string name_ = "hostile_worker_test." + std::to_string(::getpid());

 private:
  int SetUpAndAttack(int link_fd, const std::function<int()>& attack) {
    mutex_.Reset(::open(LockMutexPath(name_, 1, 0).c_str(), O_RDONLY | O_CLOEXEC));
    board_.Reset(::open(LockBoardPath(name_, 1).c_str(), O_RDONLY | O_CLOEXEC));
    if (!RaiseDescriptorLimit()) return kNoSandbox;
    const auto locks = LockTable::Open(name_, 1, kLowestLockFd);
    const auto program = OpenIperf3(TEST_BINARY_DIR "/fake_iperf3");
    if (!locks || !program) return kNoSandbox;
    const auto sandbox = WorkerSandbox::Enter({.mode = SandboxMode::kRequire,
                                               .worker_index = 0,
                                               .link_fd = link_fd,
                                               .program_fd = program->get(),
                                               .program_path = TEST_BINARY_DIR "/fake_iperf3"});
    if (!sandbox) return kNoSandbox;
    const int end = attack();
    ::_exit(end);
  }

  UniqueFd mutex_;
  UniqueFd board_;
};

bool IsFiltered(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; }

TEST_F(HostileWorkerTest, CanNotCutTheLockShort) {
  AttackEachLockFd([](int fd) { return ::ftruncate(fd, 0) == 0; });
}

TEST_F(HostileWorkerTest, CanNotCutItByAnotherNumber) {
  AttackEachLockFd([](int fd) {
    return ::syscall(SYS_dup3, fd, STDOUT_FILENO, 0) >= 0 && ::ftruncate(STDOUT_FILENO, 0) == 0;
  });
  AttackEachLockFd([](int fd) {
    const int low = ::fcntl(fd, F_DUPFD, 0);
    return low >= 0 && ::ftruncate(low, 0) == 0;
  });
  // The kernel looks at the lower half of the register only.
  AttackEachLockFd([](int fd) {
    return ::syscall(SYS_ftruncate, std::int64_t{fd} | (std::int64_t{1} << 40), 0) == 0;
  });
}

TEST_F(HostileWorkerTest, SignalsNobodyElse) {
  // Whom it could signal by its rights, were it not for the filter.
  const pid_t victim = ::fork();
  if (victim == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  EXPECT_TRUE(IsFiltered(Attack([&] { return ::kill(victim, SIGTERM) == 0; })));
  EXPECT_TRUE(IsFiltered(Attack([&] { return ::kill(-victim, SIGKILL) == 0; })));
  EXPECT_TRUE(IsFiltered(Attack([&] { return ::syscall(SYS_pidfd_open, victim, 0) >= 0; })));
  EXPECT_TRUE(IsFiltered(
      Attack([&] { return ::syscall(SYS_rt_sigqueueinfo, victim, SIGTERM, nullptr) == 0; })));
  int status = 0;
  EXPECT_EQ(::waitpid(victim, &status, WNOHANG), 0) << "the victim lives";
  ::kill(victim, SIGKILL);
  ::waitpid(victim, &status, 0);
}

// Its harmless twin: what the filter does grant.
TEST_F(HostileWorkerTest, CanStillWork) {
  const int status = Attack([] { return ::syscall(SYS_getpid) > 0 ? kSucceeded : kRefused; });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kSucceeded);
}

}  // namespace
}  // namespace iperf3_exporter
