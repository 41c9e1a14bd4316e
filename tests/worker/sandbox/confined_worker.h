// A process that has set itself up like a worker, with every layer required, and then makes an
// attack.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>

#include "common/wire/seqpacket.h"
#include "tests/common/lock/lock_fixture.h"
#include "tests/test_paths.h"
#include "worker/iperf3/iperf3_executable.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/worker_sandbox.h"

namespace iperf3_exporter {

// The exit status of an attacker that the filter did not kill.
inline constexpr int kRefused = 0;
inline constexpr int kSucceeded = 1;
inline constexpr int kNoSuchDescriptor = 2;
inline constexpr int kNoSandbox = 3;

class ConfinedWorkerTest : public ::testing::Test {
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
    const auto sandbox = EnterWorkerSandbox(
        {.mode = SandboxMode::kRequire, .link_fd = link_fd, .program_fd = program->get()});
    if (!sandbox) return kNoSandbox;
    const int end = attack();
    ::_exit(end);
  }

  UniqueFd lock_;
  UniqueFd table_;
};

}  // namespace iperf3_exporter
