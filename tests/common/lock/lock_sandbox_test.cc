// The system calls that lock_table.h names are enough for the lock under a filter that
// kills, and their arguments are as narrow as it says.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock/lock_objects.h"
#include "common/lock/lock_table.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

constexpr int kAllWell = 0;
constexpr int kFilterNotLoaded = 10;
constexpr int kWrongOutcome = 11;

bool InstallFilter() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_KILL_PROCESS);
  int error = 0;
  for (const int call :
       {SCMP_SYS(fstat), SCMP_SYS(ppoll), SCMP_SYS(clock_gettime), SCMP_SYS(sched_yield),
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

// Everything that Acquire and Release can do, in one process with two tables.
int UseTheLock(const std::string& name) {
  auto first = LockTable::Open(name, kKeyedLockSlots);
  auto second = LockTable::Open(name, kKeyedLockSlots);
  std::array<int, 2> ends{};
  if (!first || !second || ::pipe2(ends.data(), O_CLOEXEC) != 0) return kWrongOutcome;
  if (!InstallFilter()) return kFilterNotLoaded;
  const LockUse use{.target = "server.example", .port = 5201};
  const auto in = [](int ms) { return Clock::now() + milliseconds(ms); };
  AcquireResult held = first->Acquire(5, use, in(60'000), ends[0]);
  if (held.outcome != AcquireOutcome::kAcquired) return kWrongOutcome;
  // At the gate's end of the wait and at the bell's.
  if (second->Acquire(5, use, in(50), ends[0]).outcome != AcquireOutcome::kTimeout) {
    return kWrongOutcome;
  }
  ::close(ends[1]);
  if (second->Acquire(5, use, in(60'000), ends[0]).outcome != AcquireOutcome::kCancelled) {
    return kWrongOutcome;
  }
  held.lock.Release();
  held = second->Acquire(5, use, in(60'000), -1);
  return held.outcome == AcquireOutcome::kAcquired ? kAllWell : kWrongOutcome;
}

TEST(LockSandboxTest, WorksWithTheDocumentedCallsAlone) {
  const std::string name = "lock_sandbox_test." + std::to_string(::getpid());
  ASSERT_TRUE(CreateLockObjects(name, kKeyedLockSlots));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(UseTheLock(name));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), kAllWell);
  for (std::uint32_t slot = 0; slot < kKeyedLockSlots; ++slot) {
    ::unlink(LockMutexPath(name, kKeyedLockSlots, slot).c_str());
  }
  ::unlink(LockBoardPath(name, kKeyedLockSlots).c_str());
}

}  // namespace
}  // namespace iperf3_exporter
