#include "worker/sandbox/resource_limits.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

// A user that nobody else has, so that the number is known.
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

TEST(ResourceLimitsTest, CountsNoneWhereTheKernelLimitsNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, whose tasks are not limited";
  EXPECT_EQ(TasksOfOwnUser(), 0U);
}

struct Limits {
  rlim_t soft;
  rlim_t hard;
  bool in_force;  // a limit of 100
  rlim_t lowered;
};

class LowerLimitTest : public ::testing::TestWithParam<Limits> {};

TEST_P(LowerLimitTest, ChangesExactlyWhatIsNotInForce) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit before = {GetParam().soft, GetParam().hard};
    if (::setrlimit(RLIMIT_MSGQUEUE, &before) != 0) ::_exit(1);
    const ResourceLimit limit = {RLIMIT_MSGQUEUE, 100};
    if (IsInForce(limit) != GetParam().in_force) ::_exit(2);
    rlimit after = {};
    if (!LowerLimit(limit) || ::getrlimit(RLIMIT_MSGQUEUE, &after) != 0) ::_exit(3);
    const bool changed = after.rlim_cur != before.rlim_cur || after.rlim_max != before.rlim_max;
    if (changed == GetParam().in_force) ::_exit(4);
    if (after.rlim_cur != GetParam().lowered || after.rlim_max != GetParam().lowered) ::_exit(5);
    ::_exit(IsInForce(limit) ? 0 : 6);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

INSTANTIATE_TEST_SUITE_P(Limits, LowerLimitTest,
                         ::testing::Values(Limits{500, 800, false, 100},
                                           Limits{50, 800, false, 100}, Limits{50, 80, false, 80},
                                           Limits{100, 100, true, 100}, Limits{80, 80, true, 80},
                                           Limits{0, 0, true, 0}));

}  // namespace
}  // namespace iperf3_exporter
