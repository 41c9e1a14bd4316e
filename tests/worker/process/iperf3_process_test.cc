// Against the fake iperf3: how a run can end.
#include "worker/process/iperf3_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <string>

#include "tests/test_paths.h"
#include "worker/iperf3/iperf3_executable.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Iperf3ProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    program_ = OpenIperf3(BuiltProgram("fake_iperf3")).value();
    int fds[2] = {-1, -1};
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    cancel_.Reset(fds[0]);
    canceller_.Reset(fds[1]);
    process_.emplace(Iperf3Process::Create(program_.get(), &sandbox_).value());
  }

  // After every test no child is running, and none is left to be reaped after Reset.
  void TearDown() override {
    siginfo_t ended = {};
    const int found = ::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT | WNOHANG);
    EXPECT_TRUE(found < 0 || ended.si_pid != 0);
    process_->Reset();
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  }

  RunResult Run(const char* mode, std::chrono::nanoseconds time = seconds(60),
                milliseconds grace = kTermGrace) {
    const Deadline end = Clock::now() + time;
    const auto started = process_->Start({.argv = {"iperf3", "-J", "--bind-dev", mode},
                                          .terminate_at = end,
                                          .kill_at = end + grace,
                                          .cancel_fd = cancel_.get()});
    EXPECT_TRUE(started) << started.error().message;
    return started ? process_->Wait() : RunResult{};
  }

  // The signal that ended it, 0 if it exited.
  static int SignalOf(const RunResult& run) {
    EXPECT_TRUE(run.status);
    return run.status && WIFSIGNALED(*run.status) ? WTERMSIG(*run.status) : 0;
  }

  static FailureReason ReasonOf(const RunResult& run) {
    EXPECT_FALSE(run.status);
    return run.status ? FailureReason::kWorkerLost : run.status.error().reason;
  }

  static bool IgnoredSigterm(const RunResult& run) {
    return run.status.error().detail.find("ignored SIGTERM") != std::string::npos;
  }

  UniqueFd program_;
  const Iperf3Sandbox sandbox_{{.temporary_path = "/tmp"}};
  UniqueFd cancel_;
  UniqueFd canceller_;
  std::optional<Iperf3Process> process_;
};

TEST_F(Iperf3ProcessTest, CollectsTheReportOfARunThatExits) {
  const RunResult run = Run("ok");
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(process_->output().substr(0, 1), "{");
  EXPECT_EQ(process_->errors(), "");
}

TEST_F(Iperf3ProcessTest, KeepsExitStatusAndStderr) {
  const RunResult run = Run("fail");
  ASSERT_TRUE(run.status);
  EXPECT_EQ(WEXITSTATUS(*run.status), 1);
  EXPECT_NE(process_->errors().find("Connection refused"), std::string_view::npos);
}

TEST_F(Iperf3ProcessTest, ReportsDeathBySignal) { EXPECT_EQ(SignalOf(Run("kill")), SIGKILL); }

TEST_F(Iperf3ProcessTest, DropsTheOutputOfThePreviousRun) {
  EXPECT_TRUE(Run("large-report").status);
  EXPECT_GT(process_->output().size(), std::size_t{20} << 20U);
  EXPECT_TRUE(Run("silent").status);
  EXPECT_EQ(process_->output(), "");
  EXPECT_EQ(std::string(process_->output().data(), 100), std::string(100, '\0'));
}

TEST_F(Iperf3ProcessTest, ReadsBothPipesTogether) {
  EXPECT_TRUE(Run("both-pipes").status);
  EXPECT_EQ(process_->errors().size(), kMaxStderrBytes);
  EXPECT_GT(process_->output().size(), std::size_t{8} << 16U);
}

TEST_F(Iperf3ProcessTest, TerminatesAHangAtTheDeadline) {
  const RunResult run = Run("hang", milliseconds(50));
  EXPECT_EQ(ReasonOf(run), FailureReason::kDeadline);
  EXPECT_FALSE(IgnoredSigterm(run));
}

TEST_F(Iperf3ProcessTest, TerminatesAHangWithClosedPipes) {
  EXPECT_EQ(ReasonOf(Run("close-hang", milliseconds(50))), FailureReason::kDeadline);
}

TEST_F(Iperf3ProcessTest, KillsAProcessThatIgnoresSigterm) {
  const Deadline start = Clock::now();
  const RunResult run = Run("ignore-term", milliseconds(500));
  EXPECT_EQ(ReasonOf(run), FailureReason::kDeadline);
  EXPECT_TRUE(IgnoredSigterm(run));
  EXPECT_GE(Clock::now() - start, milliseconds(500) + kTermGrace);
}

TEST_F(Iperf3ProcessTest, KillsAtKillAtBeforeTheGracePeriodEnds) {
  // Longer than kTermGrace, so that a loaded machine is not mistaken for a late kill.
  const Deadline start = Clock::now();
  const RunResult late = Run("ignore-term", milliseconds(1500), milliseconds(50));
  EXPECT_TRUE(IgnoredSigterm(late));
  EXPECT_GE(Clock::now() - start, milliseconds(1550));
  EXPECT_LT(late.run_time, milliseconds(1500) + kTermGrace);
}

TEST_F(Iperf3ProcessTest, ReportsADeadlineDespiteALateReport) {
  const RunResult run = Run("late-report", milliseconds(500));
  EXPECT_EQ(ReasonOf(run), FailureReason::kDeadline);
}

TEST_F(Iperf3ProcessTest, TerminatesAProcessThatPrintsTooMuch) {
  EXPECT_EQ(ReasonOf(Run("flood")), FailureReason::kOutputTooLarge);
  EXPECT_EQ(process_->output().size(), kMaxReportBytes);
  EXPECT_EQ(ReasonOf(Run("flood-errors")), FailureReason::kOutputTooLarge);
  EXPECT_EQ(process_->errors().size(), kMaxStderrBytes);
  EXPECT_EQ(ReasonOf(Run("gib-report")), FailureReason::kOutputTooLarge);
  EXPECT_TRUE(Run("ok").status);
}

TEST_F(Iperf3ProcessTest, ReportsTheFirstOfTwoCauses) {
  EXPECT_EQ(ReasonOf(Run("flood-at-term", milliseconds(500))), FailureReason::kDeadline);
}

// Without its sandbox it can start processes. They do not outlive it.
TEST_F(Iperf3ProcessTest, KillsTheWholeGroup) {
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  constexpr unsigned kProcessGroup = 1U << 2U;  // PIDFD_SIGNAL_PROCESS_GROUP
  if (::syscall(SYS_pidfd_send_signal, self.get(), 0, nullptr, kProcessGroup) != 0 &&
      errno == EINVAL) {
    GTEST_SKIP() << "this kernel signals no group by a pidfd";
  }
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  EXPECT_EQ(Run("leave-child").status, 0);
  process_->Reset();
  int status = 0;
  EXPECT_GT(::waitpid(-1, &status, 0), 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(Iperf3ProcessTest, TerminatesOnCancel) {
  ASSERT_EQ(::write(canceller_.get(), "x", 1), 1);
  const RunResult run = Run("hang");
  EXPECT_EQ(ReasonOf(run), FailureReason::kCancelled);
  EXPECT_FALSE(IgnoredSigterm(run));
}

TEST_F(Iperf3ProcessTest, TerminatesOnHangUp) {
  canceller_.Reset();
  EXPECT_EQ(ReasonOf(Run("hang")), FailureReason::kCancelled);
}

TEST_F(Iperf3ProcessTest, ReportsWhyItCouldNotStart) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto process = Iperf3Process::Create(null.get(), &sandbox_).value();
  const Deadline end = Clock::now() + seconds(60);
  const auto started = process.Start({.argv = {"iperf3"}, .terminate_at = end, .kill_at = end});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, "execute: Permission denied");
}

}  // namespace
}  // namespace iperf3_exporter
