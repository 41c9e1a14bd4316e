// Requests with max_age: what they reuse, what they join, and who ends a joined test. Each test
// that needed the lock has one entry in lock_waits_.
#include <array>

#include "tests/supervisor/probe/dispatcher_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class ProbeDispatcherSharingTest : public DispatcherFixture {
 protected:
  // All these have one module.
  ProbeDispatcher::Id Share(const std::string& target, nanoseconds time = seconds(30),
                            nanoseconds max_age = seconds(60), std::uint32_t period = 1) {
    if (!module_) module_ = ModulesOfFlags(options_).default_module;
    ProbeRequest request = RequestFor(target);
    request.module = module_;
    request.max_age = max_age;
    request.test.period_seconds = period;
    return Start(request, time);
  }
  // Equal to those of Share, but shares nothing by itself.
  ProbeDispatcher::Id Own(const std::string& target, nanoseconds time = seconds(30)) {
    return Share(target, time, nanoseconds(0));
  }
  // A test that runs until the fixture's workers get a command.
  ProbeDispatcher::Id StartLongTest(nanoseconds time = seconds(30)) {
    const auto id = Own(kGoodAfterCancel, time);
    AwaitCounts(1, 0);
    return id;
  }

  ModulePointer module_;
};

TEST_F(ProbeDispatcherSharingTest, ReusesAnEarlierResult) {
  StartWith("busy");
  const ProbeOutcome first = OutcomeOf(Own(kGood));
  ExpectSuccess(first);
  const auto again = Share(kGood);
  ASSERT_TRUE(IsAnswered(again));
  ExpectSuccess(OutcomeOf(again));
  EXPECT_EQ(OutcomeOf(again)->result, first->result);
  EXPECT_LT(OutcomeOf(again)->duration, first->duration);
  EXPECT_EQ(OutcomeOf(again)->lock_wait, first->lock_wait);
  EXPECT_EQ(lock_waits_.size(), 1U);
}

TEST_F(ProbeDispatcherSharingTest, ReusesAFailedResult) {
  StartWith("busy");
  ExpectFailed(OutcomeOf(Own(kMisbehaves)), FailureReason::kServerBusy);
  const auto again = Share(kMisbehaves);
  ASSERT_TRUE(IsAnswered(again));
  ExpectFailed(OutcomeOf(again), FailureReason::kServerBusy);
  EXPECT_EQ(OutcomeOf(again)->attempts, 2U);
}

TEST_F(ProbeDispatcherSharingTest, DoesNotReuseAResultThatIsTooOld) {
  StartWith("busy");
  ExpectSuccess(OutcomeOf(Own(kGood)));
  ExpectSuccess(OutcomeOf(Share(kGood, seconds(30), nanoseconds(1))));
  ExpectSuccess(OutcomeOf(Own(kGood)));
  EXPECT_EQ(lock_waits_.size(), 3U);
}

TEST_F(ProbeDispatcherSharingTest, ReusesNoRefusal) {
  options_.lock_timeout = milliseconds(100);
  StartWith("busy");
  const auto silent = Probe(kSilent);
  ExpectRefused(OutcomeOf(Own(kGood)), RefusalReason::kLockTimeout, "--lock.timeout");
  dispatcher_->Cancel(silent);
  AwaitCounts(0, 0);
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 1; });
  ExpectSuccess(OutcomeOf(Share(kGood)));
}

TEST_F(ProbeDispatcherSharingTest, JoinsATestThatRuns) {
  StartWith("good");
  const auto first = StartLongTest();
  const auto second = Share(kGoodAfterCancel);
  const auto third = Share(kGoodAfterCancel);
  AwaitCounts(1, 0);
  EXPECT_FALSE(IsAnswered(second));
  dispatcher_->CancelRunning();
  for (const auto id : {first, second, third}) ExpectSuccess(OutcomeOf(id));
  EXPECT_EQ(lock_waits_.size(), 1U);
}

TEST_F(ProbeDispatcherSharingTest, JoinsATestThatWaits) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto first = Share(kGood);
  const auto second = Share(kGood);
  AwaitCounts(1, 1);
  dispatcher_->Cancel(running);
  ExpectSuccess(OutcomeOf(first));
  ASSERT_TRUE(IsAnswered(second));
  ExpectSuccess(OutcomeOf(second));
  EXPECT_EQ(lock_waits_.size(), 1U);
}

TEST_F(ProbeDispatcherSharingTest, JoinsATestBetweenItsRetries) {
  options_.probe_retries = 1;
  StartWith("busy");
  const auto first = Own(kMisbehaves, seconds(4));
  LoopUntil([this] { return dispatcher_->CountRunning() + dispatcher_->CountWaiting() == 0; });
  ASSERT_FALSE(IsAnswered(first));
  const auto second = Share(kMisbehaves, seconds(4));
  ExpectFailed(OutcomeOf(first), FailureReason::kServerBusy);
  ASSERT_TRUE(IsAnswered(second));
  EXPECT_EQ(OutcomeOf(second)->attempts, OutcomeOf(first)->attempts);
}

TEST_F(ProbeDispatcherSharingTest, WithoutMaxAgeATestIsItsOwn) {
  StartWith("silence");
  Probe(kSilent);
  Own(kGood);
  Own(kGood);
  AwaitCounts(1, 2);
}

TEST_F(ProbeDispatcherSharingTest, TestsOfAnotherModuleAreNotJoined) {
  StartWith("silence");
  Probe(kSilent);
  Share(kGood);
  module_ = ModulesOfFlags(options_).default_module;  // a reload
  Share(kGood);
  AwaitCounts(1, 2);
}

TEST_F(ProbeDispatcherSharingTest, AJoinedTestOutlivesTheRequestThatBeganIt) {
  StartWith("good");
  const auto first = StartLongTest();
  const auto second = Share(kGoodAfterCancel);
  EXPECT_TRUE(dispatcher_->Cancel(first));
  EXPECT_FALSE(dispatcher_->Cancel(first));
  AwaitCounts(1, 0);
  // It can still be joined.
  const auto third = Share(kGoodAfterCancel);
  AwaitCounts(1, 0);
  dispatcher_->CancelRunning();
  ExpectSuccess(OutcomeOf(second));
  ExpectSuccess(OutcomeOf(third));
  EXPECT_FALSE(IsAnswered(first));
}

TEST_F(ProbeDispatcherSharingTest, AQueuedTestOutlivesTheRequestThatBeganIt) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto first = Share(kGood);
  const auto second = Share(kGood);
  EXPECT_TRUE(dispatcher_->Cancel(first));
  AwaitCounts(1, 1);
  dispatcher_->Cancel(running);
  ExpectSuccess(OutcomeOf(second));
  EXPECT_FALSE(IsAnswered(first));
}

TEST_F(ProbeDispatcherSharingTest, AJoinerThatLeavesDoesNotEndTheTest) {
  StartWith("good");
  const auto first = StartLongTest();
  const auto second = Share(kGoodAfterCancel);
  EXPECT_TRUE(dispatcher_->Cancel(second));
  EXPECT_FALSE(dispatcher_->Cancel(second));
  AwaitCounts(1, 0);
  dispatcher_->CancelRunning();
  ExpectSuccess(OutcomeOf(first));
  EXPECT_FALSE(IsAnswered(second));
}

TEST_F(ProbeDispatcherSharingTest, TheLastWhoLeavesEndsTheTest) {
  StartWith("good");
  const auto first = StartLongTest();
  const auto second = Share(kGoodAfterCancel);
  const auto third = Share(kGoodAfterCancel);
  EXPECT_TRUE(dispatcher_->Cancel(first));
  EXPECT_TRUE(dispatcher_->Cancel(second));
  AwaitCounts(1, 0);
  EXPECT_TRUE(dispatcher_->Cancel(third));
  // The worker ends the job because of its cancel.
  AwaitCounts(0, 0);
  for (const auto id : {first, second, third}) EXPECT_FALSE(IsAnswered(id));
  EXPECT_EQ(restarts_, 0);
}

TEST_F(ProbeDispatcherSharingTest, ATestThatIsCancelledIsNotJoined) {
  options_.worker_count = 2;
  options_.lock_scope = LockScope::kNone;
  StartWith("silence");
  const auto first = Own(kSilent);
  AwaitCounts(1, 0);
  EXPECT_TRUE(dispatcher_->Cancel(first));
  Share(kSilent);
  EXPECT_EQ(dispatcher_->CountWaiting(), 1U) << "handed over to the other worker";
}

TEST_F(ProbeDispatcherSharingTest, TheLastWhoLeavesTakesAQueuedTestOutOfTheQueue) {
  StartWith("silence");
  Probe(kSilent);
  const auto first = Share(kGood);
  const auto second = Share(kGood);
  AwaitCounts(1, 1);
  dispatcher_->Cancel(first);
  AwaitCounts(1, 1);
  dispatcher_->Cancel(second);
  EXPECT_EQ(status_, (std::pair<std::size_t, std::size_t>(1, 0)));
}

TEST_F(ProbeDispatcherSharingTest, AJoinerIsAnsweredAtItsOwnDeadline) {
  StartWith("good");
  const auto first = StartLongTest();
  const auto second = Share(kGoodAfterCancel, seconds(2));
  ExpectFailed(OutcomeOf(second), FailureReason::kDeadline);
  EXPECT_NE(OutcomeOf(second)->result.error().detail.find("another request"), std::string::npos);
  EXPECT_EQ(OutcomeOf(second)->attempts, 0U);
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  dispatcher_->CancelRunning();
  ExpectSuccess(OutcomeOf(first));
  // Its failure was not kept as a result.
  ExpectSuccess(OutcomeOf(Share(kGoodAfterCancel)));
}

TEST_F(ProbeDispatcherSharingTest, TheDeadlineOfTheLastJoinerEndsTheTest) {
  StartWith("good");
  const auto first = StartLongTest();
  const auto second = Share(kGoodAfterCancel, seconds(2));
  dispatcher_->Cancel(first);
  ExpectFailed(OutcomeOf(second), FailureReason::kDeadline);
  AwaitCounts(0, 0);
}

TEST_F(ProbeDispatcherSharingTest, JoinersOfARefusedTestShareTheNextOne) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto first = Share(kGood, seconds(4));
  const auto second = Share(kGood);
  const auto third = Share(kGood);
  AwaitCounts(1, 1);
  ExpectRefused(OutcomeOf(first), RefusalReason::kLockTimeout, "before the probe's deadline");
  const nanoseconds waited = lock_waits_.at(0);
  const Deadline refused = Clock::now();
  AwaitCounts(1, 1);
  EXPECT_FALSE(IsAnswered(second));
  const Deadline cancelled = Clock::now();
  dispatcher_->Cancel(running);
  ExpectSuccess(OutcomeOf(second));
  ASSERT_TRUE(IsAnswered(third));
  ExpectSuccess(OutcomeOf(third));
  EXPECT_EQ(OutcomeOf(third)->attempts, 1U);
  // All the time, also while it had joined the first, it waited for the lock.
  EXPECT_GE(OutcomeOf(second)->lock_wait, waited + (cancelled - refused));
}

TEST_F(ProbeDispatcherSharingTest, WithoutAWorkerAllAreRefusedAtOnce) {
  StartWith("silent_start", false);
  const auto first = Share(kGood);
  const auto second = Share(kGood);
  const auto third = Share(kGood);
  ExpectRefused(OutcomeOf(first), RefusalReason::kNoWorker, "no worker is alive");
  for (const auto id : {second, third}) {
    ASSERT_TRUE(IsAnswered(id));
    ExpectRefused(OutcomeOf(id), RefusalReason::kNoWorker, "no worker is alive");
  }
}

TEST_F(ProbeDispatcherSharingTest, AJoinerThatGoesOnKeepsItsPlaceInTheQueue) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto first = Share(kGood, seconds(2));
  const auto second = Share(kGood);
  const auto later = Probe(kSilent);
  ExpectRefused(OutcomeOf(first), RefusalReason::kLockTimeout, "");
  AwaitCounts(1, 2);
  dispatcher_->Cancel(running);
  ExpectSuccess(OutcomeOf(second));
  EXPECT_FALSE(IsAnswered(later));
}

TEST_F(ProbeDispatcherSharingTest, AJoinerWithoutTimeForATestOfItsOwnFails) {
  StartWith("silence");
  Probe(kSilent);
  const auto first = Share(kGood, seconds(3));
  const auto second = Share(kGood, milliseconds(2500));
  ExpectRefused(OutcomeOf(first), RefusalReason::kLockTimeout, "");
  ASSERT_TRUE(IsAnswered(second));
  ExpectFailed(OutcomeOf(second), FailureReason::kDeadline);
}

TEST_F(ProbeDispatcherSharingTest, JoinersOfATestThatWasNotTriedGoOn) {
  StartWith("silence");
  // Its worker never starts the test.
  const auto first = Share(kHandedOver, seconds(2));
  const auto second = Share(kHandedOver, seconds(20));
  AwaitCounts(0, 1);
  ExpectFailed(OutcomeOf(first), FailureReason::kWorkerLost);
  EXPECT_EQ(OutcomeOf(first)->attempts, 0U);
  EXPECT_FALSE(IsAnswered(second));
  // The job of the first and the second in the queue.
  AwaitCounts(0, 2);
}

TEST_F(ProbeDispatcherSharingTest, ACutTestIsNotForWhoHasMoreTime) {
  // These workers always say that the period is 1 s.
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto first = Share(kGood, seconds(6), seconds(60), 5);
  const auto second = Share(kGood, seconds(6), seconds(60), 5);
  const auto patient = Share(kGood, seconds(30), seconds(60), 5);
  AwaitCounts(1, 1);
  dispatcher_->Cancel(running);
  ExpectSuccess(OutcomeOf(first));
  ASSERT_TRUE(IsAnswered(second));
  ExpectSuccess(OutcomeOf(patient));
  EXPECT_EQ(lock_waits_.size(), 2U);
  // Who asks later with little time takes what there is.
  const auto late = Share(kGood, seconds(6), seconds(60), 5);
  ASSERT_TRUE(IsAnswered(late));
}

TEST_F(ProbeDispatcherSharingTest, JoinersDoNotCountAsQueued) {
  options_.max_queued = 1;
  StartWith("silence");
  const auto running = Probe(kSilent);
  std::array<ProbeDispatcher::Id, 20> ids{};
  for (auto& id : ids) id = Share(kGood);
  AwaitCounts(1, 1);
  EXPECT_EQ(dispatcher_->ListWaiting(99).size(), 1U);
  dispatcher_->Cancel(running);
  for (const auto id : ids) ExpectSuccess(OutcomeOf(id));
}

TEST_F(ProbeDispatcherSharingTest, AtShutdownJoinersAreAnsweredAsTheTestTheyJoined) {
  StartWith("good");
  const auto running = StartLongTest();
  const auto joined_running = Share(kGoodAfterCancel);
  const auto queued = Share(kGood);
  const auto joined_queued = Share(kGood);
  AwaitCounts(1, 1);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  for (const auto id : {queued, joined_queued}) {
    ASSERT_TRUE(IsAnswered(id));
    ExpectRefused(OutcomeOf(id), RefusalReason::kDraining, "shutting down");
  }
  EXPECT_FALSE(IsAnswered(joined_running));
  EXPECT_FALSE(drained);
  dispatcher_->CancelRunning();
  ExpectSuccess(OutcomeOf(running));
  ExpectSuccess(OutcomeOf(joined_running));
  EXPECT_TRUE(drained);
}

TEST_F(ProbeDispatcherSharingTest, DrainsWhenTheLastJoinerHasLeft) {
  StartWith("good");
  const auto running = StartLongTest();
  const auto joined = Share(kGoodAfterCancel);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  dispatcher_->Cancel(running);
  EXPECT_FALSE(drained);
  dispatcher_->Cancel(joined);
  LoopUntil([&] { return drained; });
}

}  // namespace
}  // namespace iperf3_exporter
