// Real children and grandchildren.
#include "supervisor/workers/orphan_reaper.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace iperf3_exporter {
namespace {

using std::chrono::seconds;

bool IsNobody(pid_t) { return false; }

// A process that waits to be killed, with a chain of `depth` descendants, each in a session of its
// own. Returns when the last one runs.
pid_t StartChain(int depth) {
  std::array<int, 2> started{};
  EXPECT_EQ(::pipe(started.data()), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    while (depth-- > 0 && ::fork() == 0) ::setsid();
    if (depth < 0) static_cast<void>(!::write(started[1], "x", 1));
    for (;;) ::pause();
  }
  char byte = 0;
  EXPECT_EQ(::read(started[0], &byte, 1), 1);
  ::close(started[0]);
  ::close(started[1]);
  return pid;
}

bool Lives(pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) == 0; }

void End(pid_t pid) {
  ::kill(pid, SIGKILL);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
}

bool HasNoChildren() { return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD; }

TEST(OrphanReaperTest, KillsEveryGenerationOfOrphans) {
  OrphanReaper reaper;
  StartChain(3);
  reaper.SweepAll(Clock::now() + seconds(30));
  EXPECT_TRUE(HasNoChildren());
}

// As with a kernel that does not list the children of a process.
TEST(OrphanReaperTest, FindsOrphansAmongAllProcesses) {
  if (::unshare(CLONE_NEWNS) != 0) GTEST_SKIP() << "needs root to hide files of /proc";
  ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(::mount("none", "/proc/self/task", "tmpfs", 0, nullptr), 0);
  ASSERT_NE(::access("/proc/thread-self/children", F_OK), 0);
  const pid_t inherited = StartChain(0);
  OrphanReaper reaper;
  StartChain(3);
  reaper.SweepAll(Clock::now() + seconds(30));
  EXPECT_TRUE(Lives(inherited));
  End(inherited);
  EXPECT_TRUE(HasNoChildren());
  EXPECT_EQ(::umount2("/proc/self/task", MNT_DETACH), 0);
  reaper.SweepAll(Clock::now() + seconds(30));  // what a failure has left
}

TEST(OrphanReaperTest, LeavesWorkersAlone) {
  OrphanReaper reaper;
  const pid_t worker = StartChain(1);
  const pid_t orphan = StartChain(0);
  reaper.Sweep([worker](pid_t pid) { return pid == worker; });
  EXPECT_TRUE(Lives(worker));
  int status = 0;
  EXPECT_EQ(::waitpid(orphan, &status, 0), orphan);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  reaper.SweepAll(Clock::now() + seconds(30));
  EXPECT_TRUE(HasNoChildren());
}

TEST(OrphanReaperTest, LeavesInheritedChildrenAlone) {
  const pid_t inherited = StartChain(0);
  OrphanReaper reaper;
  StartChain(0);
  reaper.SweepAll(Clock::now() + seconds(30));
  EXPECT_TRUE(Lives(inherited));
  End(inherited);
  EXPECT_TRUE(HasNoChildren());
}

TEST(OrphanReaperTest, ReapsADeadOrphanOfADeadWorker) {
  OrphanReaper reaper;
  const pid_t worker = StartChain(0);
  const pid_t orphan = StartChain(0);
  for (const pid_t pid : {worker, orphan}) {
    ::kill(pid, SIGKILL);
    siginfo_t info = {};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  }
  reaper.Sweep([worker](pid_t pid) { return pid == worker; });
  // Its owner reaps the worker.
  EXPECT_EQ(::waitpid(worker, nullptr, 0), worker);
  EXPECT_TRUE(HasNoChildren());
}

TEST(OrphanReaperTest, DoesNotWaitWithoutOrphans) {
  OrphanReaper reaper;
  const Deadline start = Clock::now();
  reaper.Sweep(IsNobody);
  reaper.SweepAll(start + seconds(30));
  EXPECT_LT(Clock::now() - start, seconds(10));
}

}  // namespace
}  // namespace iperf3_exporter
