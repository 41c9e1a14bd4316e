#include "common/cancel_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

TEST(CancelSignalTest, EndsNoProcessThatIgnoresIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    // As it is in a process that nobody has started by posix_spawn, which ignores it as well.
    const unsigned long as_at_first[4] = {};
    ::syscall(SYS_rt_sigaction, kCancelSignal, as_at_first, nullptr, sizeof as_at_first[0]);
    IgnoreCancelSignal();
    ::syscall(SYS_tgkill, ::getpid(), ::gettid(), kCancelSignal);
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
}

}  // namespace
}  // namespace iperf3_exporter
