// The limits that a child inherits.
#include "worker/process/iperf3_child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "common/deadline.h"
#include "tests/test_paths.h"
#include "worker/iperf3/iperf3_executable.h"

namespace iperf3_exporter {
namespace {

// Runs that mode of fake_iperf3. A second of processor time may take half a minute on a busy
// machine: iperf3 has a low priority. Returns its wait status.
int RunMode(const char* mode, unsigned cpu_seconds) {
  const UniqueFd program = OpenIperf3(BuiltProgram("fake_iperf3")).value();
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const Iperf3Sandbox sandbox({.temporary_path = "/tmp"});
  std::string words[] = {"iperf3", "--bind-dev", mode};
  char* const argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  char* const environment[] = {nullptr};
  PreparedJob job;
  job.cpu_seconds = cpu_seconds;
  auto child = Iperf3Child::Spawn({.program_fd = program.get(),
                                   .argv = argv,
                                   .environment = environment,
                                   .stdout_fd = null.get(),
                                   .stderr_fd = null.get(),
                                   .sandbox = &sandbox,
                                   .job = &job});
  EXPECT_TRUE(child) << child.error().message;
  if (!child) return -1;
  pollfd end = {child->pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&end, 1, PollMilliseconds(Clock::now() + std::chrono::seconds(110))), 1);
  return child->WaitForEnd();
}

TEST(Iperf3ChildTest, MayUseAllProcessorsUntilTheEndOfItsJob) {
  const Iperf3Sandbox sandbox({.temporary_path = "/tmp"});
  const long processors = ::sysconf(_SC_NPROCESSORS_CONF);
  // And five seconds.
  EXPECT_EQ(sandbox.PrepareJob({}, std::chrono::milliseconds(9001))->cpu_seconds, 15 * processors);
}

TEST(Iperf3ChildTest, IsKilledAtItsProcessorTimeLimit) {
  // For as long as it takes: a virtual processor counts fewer ticks than it has time.
  const int status = RunMode("spin", 1);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(Iperf3ChildTest, ExitsWithinItsProcessorTimeLimit) {
  const int status = RunMode("burn", 60);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace iperf3_exporter
