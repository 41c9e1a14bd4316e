// How the worker program starts and exits, and which signals it ignores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <csignal>
#include <filesystem>

#include "common/cancel_signal.h"
#include "tests/worker/loop/worker_loop_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using testing::StartsWith;

class WorkerLifetimeTest : public WorkerLoopFixture {};

TEST_F(WorkerLifetimeTest, ReportsWhySetUpFailed) {
  WorkerConfig config = config_;
  config.iperf3_path = "/nonexistent/iperf3";
  WorkerUnderTest missing;
  EXPECT_EQ(missing.Configure(config).error, "/nonexistent/iperf3: No such file or directory");
  EXPECT_NE(missing.WaitForExit(), 0);

  // The message must be printable, whatever the path contains.
  config.iperf3_path = "/nonexistent/\xc3\xaf\tiperf3";
  WorkerUnderTest strange;
  EXPECT_EQ(strange.Configure(config).error, "/nonexistent/???iperf3: No such file or directory");

  config.iperf3_path = "/bin/true";
  WorkerUnderTest other;
  const std::string printed = "iperf3 --version printed no version of iperf3 3 but \"";
  EXPECT_THAT(other.Configure(config).error, StartsWith(printed + "true (GNU coreutils)"));

  // By the loader, on standard error.
  config.iperf3_path = BuiltProgram("origin_iperf3");
  WorkerUnderTest incomplete;
  EXPECT_THAT(incomplete.Configure(config).error, StartsWith(printed + "iperf3: "));

  config.iperf3_path = "/etc/passwd";
  WorkerUnderTest text;
  EXPECT_NE(text.Configure(config).error.find("not executable"), std::string::npos);
}

TEST_F(WorkerLifetimeTest, ClosesOtherDescriptors) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  WorkerUnderTest worker({"sh", "-c", "exec 4</etc/passwd 5</etc/passwd && exec \"$0\""});
  EXPECT_EQ(worker.Configure(config_).error, "");
  const std::string fds = "/proc/" + std::to_string(worker.pid()) + "/fd";
  for (const auto& fd : std::filesystem::directory_iterator(fds)) {
    std::error_code closed_meanwhile;
    EXPECT_NE(std::filesystem::read_symlink(fd, closed_meanwhile), "/etc/passwd") << fd;
  }
}

// Otherwise the first opened file would receive the log lines.
TEST_F(WorkerLifetimeTest, ReplacesAClosedStandardErrorByDevNull) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  for (const char* command : {"exec \"$0\" 2>&-", "exec \"$0\" <&- >&- 2>&-"}) {
    WorkerUnderTest worker({"sh", "-c", command});
    EXPECT_EQ(worker.Configure(config_).error, "");
    for (const int fd : {0, 1, 2}) {
      const std::string path =
          "/proc/" + std::to_string(worker.pid()) + "/fd/" + std::to_string(fd);
      std::error_code error;
      EXPECT_EQ(std::filesystem::read_symlink(path, error), "/dev/null") << fd << error.message();
    }
    EXPECT_TRUE(worker.Run(MakeJob("")).Succeeded());
  }
}

// An administrator may signal every process of that name. If one of the signals made the worker
// exit, it would do so during the second job.
TEST_F(WorkerLifetimeTest, IgnoresSignalsMeantForOthers) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  for (const int signal_number : {SIGHUP, SIGINT, SIGTERM, SIGCONT}) worker.Kill(signal_number);
  EXPECT_TRUE(worker.Run(MakeJob("ok")).Succeeded());
  EXPECT_EQ(worker.Run(MakeJob("hang", milliseconds(3000))).reason(), FailureReason::kDeadline);
  EXPECT_TRUE(worker.Run(MakeJob("ok")).Succeeded());
}

// Any other worker, and iperf3, can send it this signal.
TEST_F(WorkerLifetimeTest, IgnoresTheSignalThatCancelsThreads) {
  const auto link = CreateSeqpacketPair().value();
  const pid_t worker = ::fork();
  if (worker == 0) {
    // The default action. posix_spawn may have set the signal to be ignored.
    const unsigned long default_action[4] = {};
    ::syscall(SYS_rt_sigaction, kCancelSignal, default_action, nullptr, sizeof default_action[0]);
    ::dup2(link.second.get(), 3);
    const std::string program = BuiltProgram("iperf3_exporter_worker");
    ::execl(program.c_str(), program.c_str(), nullptr);
    ::_exit(127);
  }
  ASSERT_TRUE(SendFrame(link.first.get(), wire::Encode(config_)));
  pollfd ready = {link.first.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, PollMilliseconds(Clock::now() + WorkerUnderTest::kWaitLimit)), 1);
  ::kill(worker, kCancelSignal);
  ::shutdown(link.first.get(), SHUT_RDWR);
  int status = -1;
  EXPECT_EQ(::waitpid(worker, &status, 0), worker);
  EXPECT_EQ(status, 0);
}

// The process that created the socket is gone: nobody would stop this worker.
TEST_F(WorkerLifetimeTest, ExitsAtItsStartIfItsParentIsNotTheSupervisor) {
  WorkerUnderTest worker({"sh", "-c", "\"$0\"; exit $?"});
  worker.CloseLink();
  EXPECT_NE(worker.WaitForExit(), 0);
  EXPECT_EQ(worker.Log(), "") << "it waited for its configuration";
}

TEST_F(WorkerLifetimeTest, ExitsWithItsSupervisor) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  worker.CloseLink();
  EXPECT_EQ(worker.WaitForExit(), 0);

  WorkerUnderTest busy;
  ASSERT_EQ(busy.Configure(config_).error, "");
  busy.Send(MakeJob("hang"));
  busy.CloseLink();
  EXPECT_EQ(busy.WaitForExit(), 0);
}

// Its socket stays open, so only the kernel's signal can notify it.
TEST_F(WorkerLifetimeTest, ExitsOnTheParentDeathSignalAlone) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int fds[2] = {-1, -1};
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  const pid_t supervisor = ::fork();
  if (supervisor == 0) {
    WorkerUnderTest worker;
    if (!worker.Configure(config_).error.empty()) ::_exit(1);
    // Keeps the socket open until the test has ended.
    if (::fork() == 0) {
      writer.Reset();
      // Not by reading: the bytes in the pipe are for the test.
      pollfd hung_up = {reader.get(), 0, 0};
      ::poll(&hung_up, 1, -1);
      ::_exit(0);
    }
    const pid_t pid = worker.pid();
    static_cast<void>(!::write(writer.get(), &pid, sizeof pid));
    ::_exit(0);
  }
  pid_t worker = -1;
  ASSERT_EQ(::read(reader.get(), &worker, sizeof worker), ssize_t{sizeof worker});
  int status = 0;
  EXPECT_EQ(::waitpid(supervisor, &status, 0), supervisor);
  EXPECT_EQ(::waitpid(worker, &status, 0), worker);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) << status;
  writer.Reset();
  EXPECT_GT(::waitpid(-1, nullptr, 0), 0) << "the process that kept the socket";
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(WorkerLifetimeTest, ExitsOnAProtocolBreach) {
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  worker.Send(config_);
  EXPECT_NE(worker.WaitForExit(), 0);
  EXPECT_NE(worker.Log().find("configured twice"), std::string::npos);
}

}  // namespace
}  // namespace iperf3_exporter
