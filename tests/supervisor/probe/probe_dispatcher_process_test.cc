// The dispatcher with a real pool of rogue workers, which answer at once: they misbehave at
// 127.0.0.1 by their mode and behave at 127.0.0.2; a test of 127.0.0.3 never ends, one of 127.0.0.5
// never starts.
#include "supervisor/probe/probe_dispatcher.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/probe/probe_timing.h"
#include "tests/helpers/rogue_worker_link.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr char kMisbehaves[] = "127.0.0.1";
constexpr char kGood[] = "127.0.0.2";
constexpr char kSilent[] = "127.0.0.3";
constexpr char kHandedOver[] = "127.0.0.5";

class ProbeDispatcherTest : public testing::Test {
 protected:
  ProbeDispatcherTest() {
    options_.max_queued = 100;
    options_.lock_timeout = seconds(60);
    options_.worker_count = 1;
  }

  // With the current options.
  void StartWith(const std::string& mode, bool wait_until_idle = true) {
    rogue_ = std::make_unique<RogueWorkerLink>(mode);
    WorkerPool::Settings settings;
    settings.path = rogue_->path();
    settings.count = options_.worker_count;
    pool_ = std::make_unique<WorkerPool>(
        base_.get(), settings,
        WorkerPool::Hooks{
            .on_idle = [this] { dispatcher_->Dispatch(); },
            .on_job_event = [this](const JobEvent& event) { dispatcher_->OnJobEvent(event); },
            .on_restart = [this](WorkerRestart) { ++restarts_; },
            .on_lock_gone = [this] { pool_->OnLockIntact(); }});
    dispatcher_ = std::make_unique<ProbeDispatcher>(
        base_.get(), options_, *pool_,
        ProbeDispatcher::Hooks{
            .on_change =
                [this] {
                  status_ = {dispatcher_->CountRunning(), dispatcher_->CountWaiting()};
                },
            .on_lock_wait = [this](nanoseconds wait) { lock_waits_.push_back(wait); },
            .on_lock_timeout = [this] { ++lock_timeouts_; },
            .on_lock_recovery = [] {}});
    ASSERT_TRUE(pool_->Start());
    if (wait_until_idle) {
      LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == options_.worker_count; });
    }
  }

  ProbeDispatcher::Id Probe(const std::string& target, nanoseconds time = seconds(30)) {
    ProbeRequest request;
    request.target = target;
    request.host = *ParseHost(target);
    request.test.period_seconds = 1;
    const Deadline now = Clock::now();
    // `done` may be called before the id is known.
    const auto answer = std::make_shared<std::optional<ProbeAnswer>>();
    const auto id = dispatcher_->Start(request, now, now + time,
                                       [answer](const ProbeAnswer& given) { *answer = given; });
    answers_.emplace(id, answer);
    return id;
  }

  const ProbeAnswer& AnswerOf(ProbeDispatcher::Id id) {
    LoopUntil([&] { return IsAnswered(id); });
    return **answers_.at(id);
  }
  [[nodiscard]] bool IsAnswered(ProbeDispatcher::Id id) const {
    return answers_.at(id)->has_value();
  }

  static void ExpectSuccess(const ProbeAnswer& answer) {
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_TRUE(answer->result);
  }

  static void ExpectFailed(const ProbeAnswer& answer, FailureReason reason) {
    ASSERT_TRUE(answer) << answer.error().text;
    ASSERT_FALSE(answer->result);
    EXPECT_EQ(answer->result.error().reason, reason);
  }

  static void ExpectRefused(const ProbeAnswer& answer, RefusalReason reason,
                            const std::string& words) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().reason, reason);
    EXPECT_NE(answer.error().text.find(words), std::string::npos) << answer.error().text;
  }

  // Waits until that many tests run and that many probes wait.
  void AwaitCounts(std::size_t running, std::size_t waiting) {
    LoopUntil([&] {
      return dispatcher_->CountRunning() == running && dispatcher_->CountWaiting() == waiting;
    });
    // The hook was called.
    EXPECT_EQ(status_, std::pair(running, waiting));
  }

  // The worker processes.
  std::vector<pid_t> Workers() {
    std::ifstream file("/proc/thread-self/children");
    std::vector<pid_t> pids;
    for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
    return pids;
  }

  // A probe that failed once and pauses before its retry.
  ProbeDispatcher::Id StartPausingProbe(nanoseconds time = seconds(30)) {
    const ProbeDispatcher::Id id = Probe(kMisbehaves, time);
    LoopUntil([this] { return dispatcher_->CountRunning() + dispatcher_->CountWaiting() == 0; });
    EXPECT_FALSE(IsAnswered(id));
    return id;
  }

  template <typename Condition>
  void LoopUntil(Condition condition) {
    const Deadline limit = Clock::now() + seconds(30);
    Timer tick(base_.get(), [this] { ::event_base_loopbreak(base_.get()); });
    while (!condition()) {
      ASSERT_LT(Clock::now(), limit);
      tick.Start(milliseconds(5));
      ::event_base_dispatch(base_.get());
    }
  }

  Options options_;
  EventBase base_ = CreateEventBase();
  std::unique_ptr<RogueWorkerLink> rogue_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<ProbeDispatcher> dispatcher_;
  std::map<ProbeDispatcher::Id, std::shared_ptr<std::optional<ProbeAnswer>>> answers_;
  int restarts_ = 0;
  std::pair<std::size_t, std::size_t> status_;  // running and waiting, at the latest change
  std::vector<nanoseconds> lock_waits_;
  int lock_timeouts_ = 0;
};

TEST_F(ProbeDispatcherTest, AnswersWithTheMeasurement) {
  StartWith("busy");
  const ProbeAnswer& answer = AnswerOf(Probe(kGood));
  ExpectSuccess(answer);
  EXPECT_EQ(answer->attempts, 1U);
  EXPECT_EQ(answer->test.period_seconds, 1U);
  EXPECT_EQ(lock_waits_.size(), 1U);
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
  ExpectFailed(AnswerOf(waiting), FailureReason::kWorkerLost);
}

TEST_F(ProbeDispatcherTest, ACancelledProbeLeavesTheQueueAtOnce) {
  StartWith("silence");
  Probe(kSilent);
  const auto waiting = Probe(kGood);
  AwaitCounts(1, 1);
  EXPECT_TRUE(dispatcher_->Cancel(waiting));
  EXPECT_EQ(status_, (std::pair<std::size_t, std::size_t>(1, 0)));
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
  const ProbeAnswer& answer = AnswerOf(id);
  // Within the offset that is kept for the answer (--probe.timeout-offset, 500 ms).
  EXPECT_LT(Clock::now() - start, seconds(2) + milliseconds(500));
  ExpectFailed(answer, FailureReason::kWorkerLost);
  // The worker may hold the lock until it has been killed.
  EXPECT_EQ(restarts_, 0);
  EXPECT_EQ(dispatcher_->CountWaiting(), 2U);
  EXPECT_FALSE(IsAnswered(next));
  ExpectSuccess(AnswerOf(next));
  EXPECT_EQ(restarts_, 1);
  AwaitCounts(0, 0);
}

TEST_F(ProbeDispatcherTest, AHungWorkerOccupiesItsLockUntilItIsKilled) {
  options_.worker_count = 2;
  StartWith("silence");
  const auto hung = Probe(kMisbehaves, seconds(2));
  const auto next = Probe(kGood, seconds(30));
  const ProbeAnswer& answer = AnswerOf(hung);
  ExpectFailed(answer, FailureReason::kWorkerLost);
  EXPECT_EQ(answer->attempts, 1U);
  EXPECT_EQ(answer->test.period_seconds, 1U);
  // The other worker is idle, but the lock is not free.
  EXPECT_EQ(pool_->CountIn(WorkerState::kIdle), 1U);
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  // A new probe does not start the next one either.
  Probe(kGood);
  EXPECT_FALSE(IsAnswered(next));
  ExpectSuccess(AnswerOf(next));
  EXPECT_EQ(restarts_, 1);
}

TEST_F(ProbeDispatcherTest, ARetryMayExceedTheLimitOfTheQueue) {
  options_.max_queued = 1;
  StartWith("busy");
  const auto tried = StartPausingProbe();
  const auto running = Probe(kSilent);
  const auto waiting = Probe(kGood);
  LoopUntil([this] { return dispatcher_->CountWaiting() == 2; });
  ExpectRefused(AnswerOf(Probe(kGood)), RefusalReason::kQueueFull,
                "the queue is full (--probe.max-queued=1)");
  dispatcher_->Cancel(running);
  ExpectFailed(AnswerOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(AnswerOf(tried)->attempts, 2U);
  ExpectSuccess(AnswerOf(waiting));
}

TEST_F(ProbeDispatcherTest, ARetryThatDoesNotGetTheLockIsAnsweredWithItsLastTest) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = StartPausingProbe(seconds(3));
  Probe(kSilent);
  ExpectFailed(AnswerOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(AnswerOf(tried)->attempts, 1U);
  EXPECT_EQ(lock_timeouts_, 1);
}

TEST_F(ProbeDispatcherTest, ARetryIsAnsweredWithItsLastTestAtShutdown) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = StartPausingProbe();
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_TRUE(IsAnswered(tried));
  ExpectFailed(AnswerOf(tried), FailureReason::kServerBusy);
  EXPECT_TRUE(drained);
}

TEST_F(ProbeDispatcherTest, TheLockTimeoutDoesNotLimitRetries) {
  options_.probe_retries = 1;
  options_.lock_timeout = kServerPause / 10;
  StartWith("busy");
  const ProbeAnswer& answer = AnswerOf(Probe(kMisbehaves, seconds(4)));
  ExpectFailed(answer, FailureReason::kServerBusy);
  EXPECT_GE(answer->attempts, 3U);
}

TEST_F(ProbeDispatcherTest, CountsALockTimeoutAndItsWait) {
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  Probe(kSilent);
  ExpectRefused(AnswerOf(Probe(kGood)), RefusalReason::kLockTimeout,
                "the lock was not acquired in time (--lock.timeout=200ms)");
  EXPECT_EQ(lock_timeouts_, 1);
  ASSERT_EQ(lock_waits_.size(), 1U);
  EXPECT_GE(lock_waits_[0], milliseconds(200));
}

TEST_F(ProbeDispatcherTest, SaysThatTheScrapeTimeoutEndedTheWaitForTheLock) {
  StartWith("busy");
  Probe(kSilent);
  ExpectRefused(AnswerOf(Probe(kGood, milliseconds(2300))), RefusalReason::kLockTimeout,
                "the lock was not acquired in time: the scrape timeout leaves less than the 1.4s "
                "that the test needs");
  EXPECT_EQ(lock_timeouts_, 1);
}

TEST_F(ProbeDispatcherTest, AWorkersLockTimeOutIsCountedAndItsWaitObserved) {
  StartWith("lock_timeout");
  ExpectRefused(AnswerOf(Probe(kMisbehaves)), RefusalReason::kLockTimeout,
                "the lock was not acquired in time");
  EXPECT_EQ(lock_timeouts_, 1);
  ASSERT_EQ(lock_waits_.size(), 1U);
}

TEST_F(ProbeDispatcherTest, WithoutALockNeitherWaitNorTimeoutIsCounted) {
  options_.lock_scope = LockScope::kNone;
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  AnswerOf(Probe(kGood));
  Probe(kSilent);
  ExpectRefused(AnswerOf(Probe(kGood)), RefusalReason::kWorkerTimeout,
                "no worker was free in time");
  EXPECT_EQ(lock_timeouts_, 0);
  EXPECT_TRUE(lock_waits_.empty());
}

TEST_F(ProbeDispatcherTest, WaitingForAWorkerIsNoLockTimeout) {
  options_.lock_scope = LockScope::kTarget;
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  Probe(kSilent);
  ExpectRefused(AnswerOf(Probe(kGood)), RefusalReason::kWorkerTimeout,
                "no worker was free in time");
  EXPECT_EQ(lock_timeouts_, 0);
}

TEST_F(ProbeDispatcherTest, WaitsForAWorkerThatStarts) {
  StartWith("good", false);
  ASSERT_FALSE(pool_->AnyAlive());
  ExpectSuccess(AnswerOf(Probe(kGood)));
}

TEST_F(ProbeDispatcherTest, WaitsForWorkersThatDoNotStartOnlyShortly) {
  StartWith("silent_start", false);
  const Deadline start = Clock::now();
  ExpectRefused(AnswerOf(Probe(kGood)), RefusalReason::kNoWorker, "no worker is alive");
  EXPECT_LT(Clock::now() - start, seconds(10));
  EXPECT_EQ(lock_timeouts_, 0);
}

TEST_F(ProbeDispatcherTest, DoesNotWaitForWorkersThatCannotWork) {
  StartWith("cannot_work", false);
  LoopUntil([this] { return pool_->latest_error().has_value(); });
  const auto id = Probe(kGood);
  ASSERT_TRUE(IsAnswered(id));
  ExpectRefused(AnswerOf(id), RefusalReason::kNoWorker, "no worker is alive: no such iperf3");
}

TEST_F(ProbeDispatcherTest, AFalseReportOfALostLockFailsOnlyItsProbe) {
  StartWith("lock_gone");
  ExpectFailed(AnswerOf(Probe(kMisbehaves)), FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, 1);
  ExpectSuccess(AnswerOf(Probe(kGood)));
}

TEST_F(ProbeDispatcherTest, AtShutdownTestsContinueAndWaitingProbesLeave) {
  StartWith("silence");
  const auto running = Probe(kSilent);
  const auto queued = Probe(kGood);
  AwaitCounts(1, 1);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_TRUE(IsAnswered(queued));
  ExpectRefused(AnswerOf(queued), RefusalReason::kDraining, "shutting down");
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  EXPECT_FALSE(IsAnswered(running));
  EXPECT_FALSE(drained);
}

}  // namespace
}  // namespace iperf3_exporter
