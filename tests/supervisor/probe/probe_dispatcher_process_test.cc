// Answers, waits, retries and hung workers.
#include "supervisor/probe/probe_dispatcher.h"

#include <csignal>

#include "supervisor/probe/probe_timing.h"
#include "tests/supervisor/probe/dispatcher_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ProbeDispatcherTest : public DispatcherFixture {};

TEST_F(ProbeDispatcherTest, AnswersWithTheMeasurement) {
  StartWith("busy");
  const ProbeOutcome& outcome = OutcomeOf(Probe(kGood));
  ExpectSuccess(outcome);
  EXPECT_EQ(outcome->attempts, 1U);
  EXPECT_EQ(outcome->test.period_seconds, 1U);
  EXPECT_EQ(lock_waits_.size(), 1U);
}

TEST_F(ProbeDispatcherTest, TellsTheTrafficWhenTheLastTestOfAProbeHasEnded) {
  StartWith("busy");
  const ProbeOutcome& outcome = OutcomeOf(Probe(kGood));
  const Traffic traffic{.upload_bytes = 1000, .download_bytes = 1000};
  EXPECT_EQ(outcome->traffic, traffic);
  EXPECT_EQ(ended_, std::vector<std::optional<Traffic>>{traffic});
  // The scraper has gone.
  const auto cancelled = Probe(kGoodAfterCancel);
  AwaitCounts(1, 0);
  dispatcher_->Cancel(cancelled);
  EXPECT_EQ(ended_.size(), 1U);
  LoopUntil([this] { return ended_.size() == 2; });
  EXPECT_EQ(ended_.back(), traffic);
  // No test was tried.
  const auto waiting = Probe(kHandedOver);
  const auto queued = Probe(kGood);
  AwaitCounts(0, 2);
  dispatcher_->Cancel(queued);
  EXPECT_EQ(ended_.size(), 3U);
  EXPECT_EQ(ended_.back(), Traffic{});
  // Its worker is killed.
  dispatcher_->Cancel(waiting);
  LoopUntil([this] { return ended_.size() == 4; });
  EXPECT_EQ(ended_.back(), std::nullopt);
}

TEST_F(ProbeDispatcherTest, TellsTheTrafficOfAProbeThatWasAnsweredBefore) {
  StartWith("silence");
  ExpectFailed(OutcomeOf(Probe(kSilent, milliseconds(1500))), FailureReason::kWorkerLost);
  EXPECT_TRUE(ended_.empty());
  LoopUntil([this] { return !ended_.empty(); });
  EXPECT_EQ(ended_.back(), std::nullopt);
}

TEST_F(ProbeDispatcherTest, CountsByTheMessagesOfTheWorkers) {
  options_.worker_count = 2;
  options_.lock_scope = LockScope::kTarget;
  StartWith("busy");
  Probe(kSilent);
  Probe(kHandedOver);
  AwaitCounts(1, 1);
  EXPECT_EQ(dispatcher_->ListWaiting(9).at(0).target, kHandedOver);
}

TEST_F(ProbeDispatcherTest, CancelsAProbeThatWaitsForTheLockAtShutdown) {
  StartWith("busy");
  const auto waiting = Probe(kHandedOver);
  AwaitCounts(0, 1);
  // This worker ignores the cancel.
  dispatcher_->Drain([] {});
  ExpectFailed(OutcomeOf(waiting), FailureReason::kWorkerLost);
}

TEST_F(ProbeDispatcherTest, ACancelledProbeLeavesTheQueueAtOnce) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto waiting = Probe(kGood);
  const auto next = Probe(kGood);
  AwaitCounts(1, 2);
  EXPECT_TRUE(dispatcher_->Cancel(waiting));
  EXPECT_EQ(status_, (std::pair<std::size_t, std::size_t>(1, 1)));
  dispatcher_->Cancel(running);
  ExpectSuccess(OutcomeOf(next));
}

TEST_F(ProbeDispatcherTest, ACancelledTestCountsUntilItsWorkerHasEndedIt) {
  StartWith("silence");
  const auto id = Probe(kSilent);
  AwaitCounts(1, 0);
  EXPECT_TRUE(dispatcher_->Cancel(id));
  EXPECT_FALSE(dispatcher_->Cancel(id));
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  AwaitCounts(0, 0);
  EXPECT_EQ(restarts_, 1);
  EXPECT_FALSE(IsAnswered(id));
}

TEST_F(ProbeDispatcherTest, AStoppedWorkerDoesNotDelayTheAnswer) {
  StartWith("good");
  const auto workers = Workers();
  ASSERT_EQ(workers.size(), 1U);
  ASSERT_EQ(::kill(workers[0], SIGSTOP), 0);
  const Deadline start = Clock::now();
  const auto id = Probe(kGood, seconds(2));
  const auto next = Probe(kGood, seconds(30));
  const ProbeOutcome& outcome = OutcomeOf(id);
  // Within the offset that is kept for the outcome (--probe.timeout-offset, 500 ms).
  EXPECT_LT(Clock::now() - start, seconds(2) + milliseconds(500));
  ExpectFailed(outcome, FailureReason::kWorkerLost);
  // The worker may hold the lock until it has been killed.
  EXPECT_EQ(restarts_, 0);
  EXPECT_EQ(dispatcher_->CountWaiting(), 2U);
  EXPECT_FALSE(IsAnswered(next));
  ExpectSuccess(OutcomeOf(next));
  EXPECT_EQ(restarts_, 1);
  AwaitCounts(0, 0);
}

TEST_F(ProbeDispatcherTest, AHungWorkerOccupiesItsLockUntilItIsKilled) {
  options_.worker_count = 2;
  StartWith("silence");
  const auto hung = Probe(kMisbehaves, seconds(2));
  const auto next = Probe(kGood, seconds(30));
  const ProbeOutcome& outcome = OutcomeOf(hung);
  ExpectFailed(outcome, FailureReason::kWorkerLost);
  EXPECT_EQ(outcome->attempts, 1U);
  EXPECT_EQ(outcome->test.period_seconds, 1U);
  // The other worker is idle, but the lock is not free.
  EXPECT_EQ(pool_->CountIn(WorkerState::kIdle), 1U);
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  // A new probe does not start the next one either.
  Probe(kGood);
  EXPECT_FALSE(IsAnswered(next));
  ExpectSuccess(OutcomeOf(next));
  EXPECT_EQ(restarts_, 1);
}

TEST_F(ProbeDispatcherTest, ARetryMayExceedTheLimitOfTheQueue) {
  options_.max_queued = 1;
  StartWith("busy");
  const auto tried = StartPausingProbe();
  const auto running = Probe(kSilent);
  const auto waiting = Probe(kGood);
  LoopUntil([this] { return dispatcher_->CountWaiting() == 2; });
  ExpectRefused(OutcomeOf(Probe(kGood)), RefusalReason::kQueueFull,
                "the queue is full (--probe.max-queued=1)");
  dispatcher_->Cancel(running);
  ExpectFailed(OutcomeOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(OutcomeOf(tried)->attempts, 2U);
  ExpectSuccess(OutcomeOf(waiting));
}

TEST_F(ProbeDispatcherTest, ARetryThatDoesNotGetTheLockIsAnsweredWithItsLastTest) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = StartPausingProbe(seconds(3));
  Probe(kSilent);
  ExpectFailed(OutcomeOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(OutcomeOf(tried)->attempts, 1U);
  EXPECT_EQ(lock_timeouts_, 1);
}

TEST_F(ProbeDispatcherTest, ARetryIsAnsweredWithItsLastTestAtShutdown) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = StartPausingProbe();
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_TRUE(IsAnswered(tried));
  ExpectFailed(OutcomeOf(tried), FailureReason::kServerBusy);
  EXPECT_TRUE(drained);
}

TEST_F(ProbeDispatcherTest, TheLockTimeoutDoesNotLimitRetries) {
  options_.probe_retries = 1;
  options_.lock_timeout = kServerPause / 10;
  StartWith("busy");
  const ProbeOutcome& outcome = OutcomeOf(Probe(kMisbehaves, seconds(4)));
  ExpectFailed(outcome, FailureReason::kServerBusy);
  EXPECT_GE(outcome->attempts, 3U);
}

TEST_F(ProbeDispatcherTest, CountsALockTimeoutAndItsWait) {
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  Probe(kSilent);
  ExpectRefused(OutcomeOf(Probe(kGood)), RefusalReason::kLockTimeout,
                "the lock was not acquired in time (--lock.timeout=200ms)");
  EXPECT_EQ(lock_timeouts_, 1);
  ASSERT_EQ(lock_waits_.size(), 1U);
  EXPECT_GE(lock_waits_[0], milliseconds(200));
}

TEST_F(ProbeDispatcherTest, SaysThatTheDeadlineEndedTheWaitForTheLock) {
  StartWith("busy");
  Probe(kSilent);
  ExpectRefused(OutcomeOf(Probe(kGood, milliseconds(2300))), RefusalReason::kLockTimeout,
                "the lock was not acquired in time: the test needs at least 1.4s before the "
                "probe's deadline (scrape timeout or --probe.default-timeout, --iperf3.timeout, "
                "timeout of the module)");
  EXPECT_EQ(lock_timeouts_, 1);
}

TEST_F(ProbeDispatcherTest, AWorkersLockTimeOutIsCountedAndItsWaitObserved) {
  StartWith("lock_timeout");
  ExpectRefused(OutcomeOf(Probe(kMisbehaves)), RefusalReason::kLockTimeout,
                "the lock was not acquired in time");
  EXPECT_EQ(lock_timeouts_, 1);
  ASSERT_EQ(lock_waits_.size(), 1U);
}

TEST_F(ProbeDispatcherTest, WithoutALockNeitherWaitNorTimeoutIsCounted) {
  options_.lock_scope = LockScope::kNone;
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  OutcomeOf(Probe(kGood));
  Probe(kSilent);
  ExpectRefused(OutcomeOf(Probe(kGood)), RefusalReason::kWorkerTimeout,
                "no worker was free in time");
  EXPECT_EQ(lock_timeouts_, 0);
  EXPECT_TRUE(lock_waits_.empty());
}

TEST_F(ProbeDispatcherTest, WaitingForAWorkerIsNoLockTimeout) {
  options_.lock_scope = LockScope::kTarget;
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  Probe(kSilent);
  ExpectRefused(OutcomeOf(Probe(kGood)), RefusalReason::kWorkerTimeout,
                "no worker was free in time");
  EXPECT_EQ(lock_timeouts_, 0);
}

TEST_F(ProbeDispatcherTest, WaitsForAWorkerThatStarts) {
  StartWith("good", false);
  ASSERT_FALSE(pool_->AnyAlive());
  ExpectSuccess(OutcomeOf(Probe(kGood)));
}

TEST_F(ProbeDispatcherTest, WaitsForWorkersThatDoNotStartOnlyShortly) {
  StartWith("silent_start", false);
  const Deadline start = Clock::now();
  ExpectRefused(OutcomeOf(Probe(kGood)), RefusalReason::kNoWorker, "no worker is alive");
  EXPECT_LT(Clock::now() - start, seconds(10));
  EXPECT_EQ(lock_timeouts_, 0);
}

TEST_F(ProbeDispatcherTest, DoesNotWaitForWorkersThatCannotWork) {
  StartWith("cannot_work", false);
  LoopUntil([this] { return pool_->latest_error().has_value(); });
  const auto id = Probe(kGood);
  ASSERT_TRUE(IsAnswered(id));
  ExpectRefused(OutcomeOf(id), RefusalReason::kNoWorker, "no worker is alive: no such iperf3");
}

TEST_F(ProbeDispatcherTest, AFalseReportOfALostLockFailsOnlyItsProbe) {
  StartWith("lock_gone");
  ExpectFailed(OutcomeOf(Probe(kMisbehaves)), FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, 1);
  ExpectSuccess(OutcomeOf(Probe(kGood)));
}

TEST_F(ProbeDispatcherTest, AtShutdownTestsContinueAndWaitingProbesLeave) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto queued = Probe(kGood);
  AwaitCounts(1, 1);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_TRUE(IsAnswered(queued));
  ExpectRefused(OutcomeOf(queued), RefusalReason::kDraining, "shutting down");
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  EXPECT_FALSE(IsAnswered(running));
  EXPECT_FALSE(drained);
}

}  // namespace
}  // namespace iperf3_exporter
