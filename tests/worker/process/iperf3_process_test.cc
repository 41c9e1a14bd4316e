// Against the fake iperf3: how a run can end.
#include "worker/process/iperf3_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "common/wire/seqpacket.h"
#include "worker/iperf3/iperf3_executable.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Iperf3ProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    program_ = OpenIperf3(TEST_BINARY_DIR "/fake_iperf3").value();
    sockets_ = CreateSeqpacketPair().value();
    link_.emplace(sockets_.second.get());
    process_.emplace(Iperf3Process::Create(program_.get(), &sandbox_, &*link_).value());
  }

  // Whatever the test did, no child runs any more, and none is left to be reaped after Renew.
  void TearDown() override {
    siginfo_t ended = {};
    const int found = ::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT | WNOHANG);
    EXPECT_TRUE(found < 0 || ended.si_pid != 0);
    process_->Renew();
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  }

  RunResult Run(const char* mode, std::chrono::nanoseconds time = seconds(60),
                milliseconds grace = kTermGrace) {
    const std::vector<std::string> argv = {"iperf3", "-J", "--bind-dev", mode};
    return process_->Run(
        {.argv = &argv, .deadline = Clock::now() + time, .grace = grace, .job_id = 7});
  }

  void Send(const wire::Frame& frame) { ASSERT_TRUE(SendFrame(sockets_.first.get(), frame)); }

  UniqueFd program_;
  Iperf3Sandbox sandbox_;
  std::pair<UniqueFd, UniqueFd> sockets_;
  std::optional<SupervisorLink> link_;
  std::optional<Iperf3Process> process_;
};

TEST_F(Iperf3ProcessTest, CollectsTheReportOfARunThatExits) {
  const RunResult run = Run("ok");
  EXPECT_EQ(run.end, RunEnd::kExited);
  EXPECT_EQ(run.wait_status, 0);
  EXPECT_EQ(process_->output().substr(0, 1), "{");
  EXPECT_EQ(process_->errors(), "");
}

TEST_F(Iperf3ProcessTest, KeepsExitStatusAndStderr) {
  const RunResult run = Run("fail");
  EXPECT_EQ(run.end, RunEnd::kExited);
  EXPECT_EQ(WEXITSTATUS(run.wait_status), 1);
  EXPECT_NE(process_->errors().find("Connection refused"), std::string_view::npos);
}

TEST_F(Iperf3ProcessTest, TellsADeathBySignal) {
  const RunResult run = Run("kill");
  EXPECT_EQ(run.end, RunEnd::kExited);
  ASSERT_TRUE(WIFSIGNALED(run.wait_status));
  EXPECT_EQ(WTERMSIG(run.wait_status), SIGKILL);
}

TEST_F(Iperf3ProcessTest, ForgetsTheRunBefore) {
  EXPECT_EQ(Run("large-report").end, RunEnd::kExited);
  EXPECT_GT(process_->output().size(), std::size_t{20} << 20U);
  EXPECT_EQ(Run("silent").end, RunEnd::kExited);
  EXPECT_EQ(process_->output(), "");
  EXPECT_EQ(std::string(process_->output().data(), 100), std::string(100, '\0'));
}

TEST_F(Iperf3ProcessTest, ReadsBothPipesTogether) {
  const RunResult run = Run("both-pipes");
  EXPECT_EQ(run.end, RunEnd::kExited);
  EXPECT_EQ(process_->errors().size(), kMaxStderrBytes);
  EXPECT_GT(process_->output().size(), std::size_t{8} << 16U);
}

TEST_F(Iperf3ProcessTest, EndsAHangAtTheDeadline) {
  const RunResult run = Run("hang", milliseconds(50));
  EXPECT_EQ(run.end, RunEnd::kDeadline);
  EXPECT_EQ(WTERMSIG(run.wait_status), SIGTERM);
}

TEST_F(Iperf3ProcessTest, EndsAHangThatClosedItsPipes) {
  EXPECT_EQ(Run("close-hang", milliseconds(50)).end, RunEnd::kDeadline);
}

TEST_F(Iperf3ProcessTest, KillsWhatIgnoresSigterm) {
  const Deadline start = Clock::now();
  const RunResult run = Run("ignore-term", milliseconds(500));
  EXPECT_EQ(run.end, RunEnd::kDeadline);
  EXPECT_EQ(WTERMSIG(run.wait_status), SIGKILL);
  EXPECT_GE(Clock::now() - start, milliseconds(500) + kTermGrace);
}

TEST_F(Iperf3ProcessTest, KillsItNoLaterThanTheGraceOfItsDeadline) {
  // Longer than kTermGrace: a loaded machine is not taken for a late kill.
  const Deadline start = Clock::now();
  const RunResult late = Run("ignore-term", milliseconds(1500), milliseconds(50));
  EXPECT_EQ(WTERMSIG(late.wait_status), SIGKILL);
  EXPECT_GE(Clock::now() - start, milliseconds(1550));
  EXPECT_LT(late.run_time, milliseconds(1500) + kTermGrace);
}

TEST_F(Iperf3ProcessTest, DoesNotTakeALateReportForAnEndOfItsOwn) {
  const RunResult run = Run("late-report", milliseconds(500));
  EXPECT_EQ(run.end, RunEnd::kDeadline);
  EXPECT_EQ(run.wait_status, 0);
}

TEST_F(Iperf3ProcessTest, EndsWhatPrintsTooMuch) {
  EXPECT_EQ(Run("flood").end, RunEnd::kOutputTooLarge);
  EXPECT_EQ(process_->output().size(), kMaxReportBytes);
  EXPECT_EQ(Run("flood-errors").end, RunEnd::kOutputTooLarge);
  EXPECT_EQ(Run("gib-report").end, RunEnd::kOutputTooLarge);
  EXPECT_EQ(Run("ok").end, RunEnd::kExited);
}

TEST_F(Iperf3ProcessTest, ObeysACancelOfItsJob) {
  Send(wire::Encode(wire::Cancel{.job_id = 7}));
  const RunResult run = Run("hang");
  EXPECT_EQ(run.end, RunEnd::kCancelled);
  EXPECT_EQ(WTERMSIG(run.wait_status), SIGTERM);
}

TEST_F(Iperf3ProcessTest, IgnoresTheCancelOfAnotherJob) {
  Send(wire::Encode(wire::Cancel{.job_id = 6}));
  EXPECT_EQ(Run("hang", milliseconds(50)).end, RunEnd::kDeadline);
}

TEST_F(Iperf3ProcessTest, EndsWhenTheSupervisorIsGone) {
  sockets_.first.Reset();
  EXPECT_EQ(Run("hang").end, RunEnd::kSupervisorGone);
  EXPECT_EQ(link_->TryReadInterest(7), JobInterest::kGone);
}

TEST_F(Iperf3ProcessTest, EndsWhenTheSupervisorBreaksTheProtocol) {
  Send(wire::Encode(Job{}));
  EXPECT_EQ(Run("hang").end, RunEnd::kSupervisorGone);
}

TEST_F(Iperf3ProcessTest, SaysWhyItCouldNotStart) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto process = Iperf3Process::Create(null.get(), &sandbox_, nullptr).value();
  const std::vector<std::string> argv = {"iperf3"};
  const RunResult run = process.Run({.argv = &argv, .deadline = Clock::now() + seconds(60)});
  EXPECT_EQ(run.end, RunEnd::kNotStarted);
  EXPECT_EQ(run.start_error, "execute: Permission denied");
}

}  // namespace
}  // namespace iperf3_exporter
