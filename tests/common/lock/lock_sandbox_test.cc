// That the system calls listed in host_lock.h suffice, with arguments as restricted as listed
// there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock/host_lock.h"
#include "tests/common/lock/lock_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

constexpr int kSuccess = 0;
constexpr int kFilterNotLoaded = 10;
constexpr int kWrongOutcome = 11;

bool InstallFilter() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_KILL_PROCESS);
  int error = 0;
  for (const int call :
       {SCMP_SYS(fstat), SCMP_SYS(ppoll), SCMP_SYS(clock_gettime), SCMP_SYS(getppid),
        SCMP_SYS(restart_syscall), SCMP_SYS(munmap), SCMP_SYS(close), SCMP_SYS(exit_group)}) {
    error |= ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  const auto allow_with = [&](int call, unsigned argument, scmp_datum_t value) {
    const scmp_arg_cmp is_value{.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
    error |= ::seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &is_value);
  };
  allow_with(SCMP_SYS(fcntl), 1, F_OFD_SETLK);
  allow_with(SCMP_SYS(fcntl), 1, F_OFD_GETLK);
  allow_with(SCMP_SYS(futex), 1, FUTEX_WAKE);
  allow_with(SCMP_SYS(futex), 1, FUTEX_WAIT_BITSET);
  allow_with(SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH);
  return error == 0 && ::seccomp_load(filter) == 0;
}

// Everything that Acquire and Release can do, in one process that has opened the lock twice.
int UseTheLock(const std::string& name) {
  auto first = HostLock::Open(name, LockScope::kBind);
  auto second = HostLock::Open(name, LockScope::kBind);
  std::array<int, 2> ends{};
  if (!first || !second || ::pipe2(ends.data(), O_CLOEXEC) != 0) return kWrongOutcome;
  if (!InstallFilter()) return kFilterNotLoaded;
  const HolderInfo user{.target = "server.example", .port = 5201};
  const auto acquire = [&](HostLock& lock, int ms, int cancel_fd) {
    return lock.Acquire(kKey, user, Clock::now() + milliseconds(ms), cancel_fd);
  };
  auto held = acquire(**first, 60'000, ends[0]);
  if (!held) return kWrongOutcome;
  auto refused = acquire(**second, 50, ends[0]);
  if (refused || refused.error() != AcquireError::kTimeout) return kWrongOutcome;
  ::close(ends[1]);
  refused = acquire(**second, 60'000, ends[0]);
  if (refused || refused.error() != AcquireError::kCancelled) return kWrongOutcome;
  held->Release();
  return acquire(**second, 60'000, -1) ? kSuccess : kWrongOutcome;
}

TEST(LockSandboxTest, NeedsOnlyTheDocumentedCalls) {
  const std::string name = "lock_sandbox_test." + std::to_string(::getpid());
  ASSERT_TRUE(CreateLockFiles(name, LockScope::kBind));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(UseTheLock(name));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), kSuccess);
  RemoveLockFiles(name, LockScope::kBind);
}

}  // namespace
}  // namespace iperf3_exporter
