#include "common/resource_limit.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

struct Limits {
  rlim_t soft;
  rlim_t hard;
  rlim_t lowered;  // to 100
};

class LowerResourceLimitTest : public ::testing::TestWithParam<Limits> {};

TEST_P(LowerResourceLimitTest, NeverRaisesTheHardLimit) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit before = {GetParam().soft, GetParam().hard};
    if (::setrlimit(RLIMIT_MSGQUEUE, &before) != 0) ::_exit(1);
    rlimit after = {};
    if (!SetResourceLimit(RLIMIT_MSGQUEUE, 100) || ::getrlimit(RLIMIT_MSGQUEUE, &after) != 0) {
      ::_exit(2);
    }
    const bool is_lowered =
        after.rlim_cur == GetParam().lowered && after.rlim_max == GetParam().lowered;
    ::_exit(is_lowered ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

INSTANTIATE_TEST_SUITE_P(Limits, LowerResourceLimitTest,
                         ::testing::Values(Limits{500, 800, 100}, Limits{50, 800, 100},
                                           Limits{50, 80, 80}, Limits{100, 100, 100},
                                           Limits{80, 80, 80}, Limits{0, 0, 0}));

TEST(TryStartProcessTest, FailsWhenTheUsersTasksAreUsedUp) {
  EXPECT_TRUE(TryStartProcess());
  const pid_t child = ::fork();
  if (child == 0) {
    // The limit does not apply to root.
    if (::getuid() == 0 && ::setuid(0x7000'0000U + static_cast<uid_t>(::getpid())) != 0) ::_exit(1);
    if (!TryStartProcess()) ::_exit(2);
    if (!SetResourceLimit(RLIMIT_NPROC, 1)) ::_exit(3);
    ::_exit(TryStartProcess() ? 4 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace iperf3_exporter
