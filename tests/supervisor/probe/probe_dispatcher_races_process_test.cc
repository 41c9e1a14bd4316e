// Events that arrive when the probe, its worker or the exporter has moved on.
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "tests/supervisor/probe/dispatcher_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::seconds;

class ProbeDispatcherRacesTest : public DispatcherFixture {
 protected:
  // The only worker.
  pid_t Worker() {
    const auto workers = Workers();
    EXPECT_EQ(workers.size(), 1U);
    return workers.empty() ? 0 : workers.front();
  }
  // Kills the only worker, which the pool does not notice before the loop runs again.
  void KillWorker() {
    const pid_t worker = Worker();
    ASSERT_EQ(::kill(worker, SIGKILL), 0);
    siginfo_t info = {};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(worker), &info, WEXITED | WNOWAIT), 0);
  }
};

TEST_F(ProbeDispatcherRacesTest, ACancelledProbeHasNoDeadline) {
  StartWith("silence");
  const Deadline deadline = Clock::now() + seconds(2);
  const auto hung = Probe(kSilent, seconds(2));
  AwaitCounts(1, 0);
  std::this_thread::sleep_until(deadline);
  EXPECT_TRUE(dispatcher_->Cancel(hung));
  // Its timer has expired, but its worker is not killed yet.
  AwaitCounts(0, 0);
  EXPECT_FALSE(IsAnswered(hung));
}

TEST_F(ProbeDispatcherRacesTest, AProbeOutlivesTheDeathOfAnIdleWorker) {
  StartWith("good");
  KillWorker();
  ASSERT_EQ(pool_->CountIn(WorkerState::kIdle), 1U);
  const auto id = Probe(kGood, seconds(20));
  EXPECT_EQ(pool_->CountIn(WorkerState::kIdle), 0U);
  EXPECT_EQ(dispatcher_->CountWaiting(), 1U);
  ExpectSuccess(OutcomeOf(id));
  EXPECT_EQ(restarts_, 1);
}

TEST_F(ProbeDispatcherRacesTest, ALookupMayEndAfterItsProbe) {
  StartWith("good");
  const auto cancelled = Probe("localhost");
  EXPECT_TRUE(dispatcher_->Cancel(cancelled));
  // Joins the lookup, which has begun.
  ExpectSuccess(OutcomeOf(Probe("localhost")));
  EXPECT_FALSE(IsAnswered(cancelled));
}

TEST_F(ProbeDispatcherRacesTest, ARetryWhoseWorkerHangsIsAnsweredWithItsLastTest) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = StartPausingProbe(seconds(3));
  ASSERT_EQ(::kill(Worker(), SIGSTOP), 0);
  ExpectFailed(OutcomeOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(dispatcher_->CountWaiting(), 1U) << "its worker still has the job";
}

TEST_F(ProbeDispatcherRacesTest, ATestThatFailsAtShutdownIsNotTriedAgain) {
  options_.lock_scope = LockScope::kNone;  // the job is not cancelled
  StartWith("busy");
  const pid_t worker = Worker();
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  const auto id = Probe(kMisbehaves);
  AwaitCounts(0, 1);
  dispatcher_->Drain([] {});
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  const ProbeOutcome& outcome = OutcomeOf(id);
  ExpectFailed(outcome, FailureReason::kServerBusy);
  EXPECT_EQ(outcome->attempts, 1U);
}

// It started while the cancel was on its way. Nobody hung up, so its result would be false.
TEST_F(ProbeDispatcherRacesTest, ATestThatTheShutdownCancelsAtItsStartIsRefused) {
  StartWith("cancelled");
  const pid_t worker = Worker();
  ASSERT_EQ(::kill(worker, SIGSTOP), 0);
  const auto id = Probe(kMisbehaves);
  AwaitCounts(0, 1);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_EQ(::kill(worker, SIGCONT), 0);
  ExpectRefused(OutcomeOf(id), RefusalReason::kDraining, "shutting down");
  EXPECT_TRUE(drained);
}

TEST_F(ProbeDispatcherRacesTest, CancelsRunningTestsAtTheEndOfTheShutdown) {
  StartWith("good");
  const auto running = Probe(kGoodAfterCancel, seconds(10));
  AwaitCounts(1, 0);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  EXPECT_FALSE(drained);
  dispatcher_->CancelRunning();
  ExpectSuccess(OutcomeOf(running));
  EXPECT_TRUE(drained);
}

}  // namespace
}  // namespace iperf3_exporter
