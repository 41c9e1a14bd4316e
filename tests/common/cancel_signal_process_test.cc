#include "common/cancel_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

TEST(CancelSignalTest, DoesNotEndAProcessThatIgnoresIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    // The default action. posix_spawn may have set the signal to be ignored.
    const unsigned long default_action[4] = {};
    ::syscall(SYS_rt_sigaction, kCancelSignal, default_action, nullptr, sizeof default_action[0]);
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
