#include "worker/sandbox/resource_limits.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

// An unused user, so that its number of tasks is known.
constexpr uid_t kUser = 60399;

TEST(ResourceLimitsTest, CountsTheTasksOfItsUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become a user without other tasks";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(kUser, kUser, kUser) != 0) ::_exit(100);
    rlimit before = {};
    rlimit after = {};
    ::getrlimit(RLIMIT_NPROC, &before);
    const rlim_t tasks = TasksOfOwnUser();
    ::getrlimit(RLIMIT_NPROC, &after);
    if (before.rlim_cur != after.rlim_cur || before.rlim_max != after.rlim_max) ::_exit(101);
    ::_exit(static_cast<int>(tasks));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(ResourceLimitsTest, CountsNoneIfTheKernelSetsNoLimit) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, whose tasks are not limited";
  EXPECT_EQ(TasksOfOwnUser(), 0U);
}

}  // namespace
}  // namespace iperf3_exporter
