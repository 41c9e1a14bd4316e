// The dispatcher with a real pool of rogue workers, which answer at once and as told: 127.0.0.1 as
// their mode says, 127.0.0.2 well, 127.0.0.3 never.
#include "supervisor/probe/probe_dispatcher.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "supervisor/probe/retry_delay.h"
#include "tests/helpers/rogue_worker_link.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr char kMisbehaves[] = "127.0.0.1";
constexpr char kGood[] = "127.0.0.2";
constexpr char kSilent[] = "127.0.0.3";

class ProbeDispatcherTest : public testing::Test {
 protected:
  ProbeDispatcherTest() {
    options_.max_queued = 100;
    options_.lock_timeout = seconds(60);
    options_.worker_count = 1;
  }

  // With the options as they are then.
  void StartWith(const std::string& mode, bool wait_until_idle = true) {
    rogue_ = std::make_unique<RogueWorkerLink>(mode);
    WorkerPool::Settings settings;
    settings.path = rogue_->path();
    settings.count = options_.worker_count;
    pool_ = std::make_unique<WorkerPool>(
        base_.get(), settings,
        WorkerPool::Hooks{.on_idle = [this] { dispatcher_->Dispatch(); },
                          .on_restart = [this](WorkerRestart) { ++restarts_; },
                          .renew_lock = [] { return false; }});
    dispatcher_ = std::make_unique<ProbeDispatcher>(base_.get(), options_, *pool_, metrics_,
                                                    [this](std::uint32_t) { return lock_held_; });
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
    const ProbeDispatcher::Id id = dispatcher_->NextId();
    const Deadline now = Clock::now();
    dispatcher_->Start(id, request, now, now + time,
                       [this, id](const ProbeAnswer& answer) { answers_.emplace(id, answer); });
    return id;
  }

  const ProbeAnswer& AnswerOf(ProbeDispatcher::Id id) {
    LoopUntil([&] { return answers_.contains(id); });
    return answers_[id];
  }

  void ExpectFailed(const ProbeAnswer& answer, FailureReason reason) {
    EXPECT_EQ(answer.kind, ProbeAnswer::Kind::kTested) << answer.reason;
    EXPECT_EQ(answer.outcome.failure, reason);
  }

  void ExpectUnavailable(const ProbeAnswer& answer, const std::string& words) {
    EXPECT_EQ(answer.kind, ProbeAnswer::Kind::kUnavailable);
    EXPECT_NE(answer.reason.find(words), std::string::npos) << answer.reason;
  }

  std::string Sample(const std::string& name) {
    const auto page = metrics_.Page(ExpositionFormat::kText, {}, {});
    const std::size_t at = page->find("\n" + name + " ");
    if (at == std::string::npos) return "absent";
    const std::size_t begin = at + name.size() + 2;
    return page->substr(begin, page->find('\n', begin) - begin);
  }

  // A probe that failed once and now pauses before it tries again.
  ProbeDispatcher::Id PausingProbe(nanoseconds time = seconds(30)) {
    const ProbeDispatcher::Id id = Probe(kMisbehaves, time);
    LoopUntil([this] { return dispatcher_->CountRunning() + dispatcher_->CountWaiting() == 0; });
    EXPECT_FALSE(answers_.contains(id));
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
  ExporterMetrics metrics_;
  std::unique_ptr<RogueWorkerLink> rogue_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<ProbeDispatcher> dispatcher_;
  std::map<ProbeDispatcher::Id, ProbeAnswer> answers_;
  int restarts_ = 0;
  bool lock_held_ = true;
};

TEST_F(ProbeDispatcherTest, AnswersWithTheMeasurement) {
  StartWith("busy");
  const ProbeAnswer& answer = AnswerOf(Probe(kGood));
  EXPECT_EQ(answer.kind, ProbeAnswer::Kind::kTested);
  EXPECT_FALSE(answer.outcome.failure);
  EXPECT_EQ(answer.outcome.attempts, 1U);
  EXPECT_EQ(Sample("iperf3_exporter_lock_wait_seconds_count"), "1");
}

TEST_F(ProbeDispatcherTest, ATestUnderALostLockIsATest) {
  StartWith("busy");
  const auto tested = Probe(kSilent);
  dispatcher_->OnLockLost();
  lock_held_ = false;
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  EXPECT_EQ(dispatcher_->CountWaiting(), 0U);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  EXPECT_FALSE(drained);
  EXPECT_FALSE(answers_.contains(tested));
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
}

TEST_F(ProbeDispatcherTest, AProbeThatWaitedForALostLockStillWaits) {
  lock_held_ = false;
  StartWith("busy");
  const auto waiting = Probe(kSilent);
  dispatcher_->OnLockLost();
  EXPECT_EQ(dispatcher_->CountRunning(), 0U);
  EXPECT_EQ(dispatcher_->CountWaiting(), 1U);
  // Taken back, which this worker does not obey.
  dispatcher_->Drain([] {});
  ExpectFailed(AnswerOf(waiting), FailureReason::kWorkerLost);
}

TEST_F(ProbeDispatcherTest, AProbeThatWasTriedIsNotOneTooManyInTheQueue) {
  options_.probe_retries = 1;
  options_.max_queued = 1;
  StartWith("busy");
  const auto tried = PausingProbe();
  const auto running = Probe(kSilent);
  const auto waiting = Probe(kGood);
  LoopUntil([this] { return dispatcher_->CountWaiting() == 2; });
  ExpectUnavailable(AnswerOf(Probe(kGood)), "the queue is full");
  dispatcher_->Cancel(running);
  ExpectFailed(AnswerOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(answers_[tried].outcome.attempts, 2U);
  EXPECT_EQ(AnswerOf(waiting).kind, ProbeAnswer::Kind::kTested);
}

TEST_F(ProbeDispatcherTest, AProbeThatWasTriedAndDidNotGetTheLockAgainIsAnsweredWithItsTest) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = PausingProbe(seconds(3));
  Probe(kSilent);
  ExpectFailed(AnswerOf(tried), FailureReason::kServerBusy);
  EXPECT_EQ(answers_[tried].outcome.attempts, 1U);
  EXPECT_EQ(Sample("iperf3_exporter_lock_timeouts_total"), "1");
}

TEST_F(ProbeDispatcherTest, AProbeThatWasTriedIsAnsweredWithItsTestAtShutdown) {
  options_.probe_retries = 9;
  StartWith("busy");
  const auto tried = PausingProbe();
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_TRUE(answers_.contains(tried));
  ExpectFailed(answers_[tried], FailureReason::kServerBusy);
  EXPECT_TRUE(drained);
}

TEST_F(ProbeDispatcherTest, RetriesAreNotLimitedByTheLocksTimeOut) {
  options_.probe_retries = 2;
  options_.lock_timeout = kFirstRetryDelay / 10;
  StartWith("busy");
  const ProbeAnswer& answer = AnswerOf(Probe(kMisbehaves));
  ExpectFailed(answer, FailureReason::kServerBusy);
  EXPECT_EQ(answer.outcome.attempts, 3U);
}

TEST_F(ProbeDispatcherTest, ALockTimeOutIsCountedAndItsWaitObserved) {
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  Probe(kSilent);
  ExpectUnavailable(AnswerOf(Probe(kGood)), "the lock was not had in time");
  EXPECT_EQ(Sample("iperf3_exporter_lock_timeouts_total"), "1");
  EXPECT_EQ(Sample("iperf3_exporter_lock_wait_seconds_count"), "1");
  EXPECT_GE(std::stod(Sample("iperf3_exporter_lock_wait_seconds_sum")), 0.2);
}

TEST_F(ProbeDispatcherTest, AWorkersLockTimeOutIsCountedAndItsWaitObserved) {
  StartWith("lock_timeout");
  ExpectUnavailable(AnswerOf(Probe(kMisbehaves)), "the lock was not had in time");
  EXPECT_EQ(Sample("iperf3_exporter_lock_timeouts_total"), "1");
  EXPECT_EQ(Sample("iperf3_exporter_lock_wait_seconds_count"), "1");
}

TEST_F(ProbeDispatcherTest, WithoutALockThereIsNoWaitForItAndNoTimeOut) {
  options_.lock_scope = LockScope::kNone;
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  AnswerOf(Probe(kGood));
  Probe(kSilent);
  ExpectUnavailable(AnswerOf(Probe(kGood)), "no worker was free in time");
  EXPECT_EQ(Sample("iperf3_exporter_lock_timeouts_total"), "0");
  EXPECT_EQ(Sample("iperf3_exporter_lock_wait_seconds_count"), "0");
  EXPECT_EQ(Sample("iperf3_exporter_probes_total{result=\"worker_timeout\"}"), "1");
}

TEST_F(ProbeDispatcherTest, WaitingForAWorkerWithALockOfItsOwnIsNoLockTimeOut) {
  options_.lock_scope = LockScope::kTarget;
  options_.lock_timeout = milliseconds(200);
  StartWith("busy");
  Probe(kSilent);
  ExpectUnavailable(AnswerOf(Probe(kGood)), "no worker was free in time");
  EXPECT_EQ(Sample("iperf3_exporter_lock_timeouts_total"), "0");
}

TEST_F(ProbeDispatcherTest, AWorkerThatStartsIsWaitedFor) {
  StartWith("good", false);
  ASSERT_FALSE(pool_->AnyAlive());
  EXPECT_FALSE(AnswerOf(Probe(kGood)).outcome.failure);
}

TEST_F(ProbeDispatcherTest, WorkersThatDoNotStartAreNotWaitedForToTheEnd) {
  StartWith("silent_start", false);
  const Deadline start = Clock::now();
  ExpectUnavailable(AnswerOf(Probe(kGood)), "no worker is alive");
  EXPECT_LT(Clock::now() - start, seconds(10));
  EXPECT_EQ(Sample("iperf3_exporter_lock_timeouts_total"), "0");
}

TEST_F(ProbeDispatcherTest, WorkersThatCannotWorkAreNotWaitedForAtAll) {
  StartWith("cannot_work", false);
  LoopUntil([this] { return !pool_->latest_error().empty(); });
  const auto id = Probe(kGood);
  ASSERT_TRUE(answers_.contains(id));
  ExpectUnavailable(answers_[id], "no worker is alive: no such iperf3");
}

TEST_F(ProbeDispatcherTest, AWorkerThatInventsALossOfTheLockLosesItsProbeAndNoMore) {
  StartWith("lock_gone");
  ExpectFailed(AnswerOf(Probe(kMisbehaves)), FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, 1);
  EXPECT_FALSE(AnswerOf(Probe(kGood)).outcome.failure);
}

TEST_F(ProbeDispatcherTest, AtShutdownTheRunningGoOnAndTheWaitingLeave) {
  StartWith("silence");
  Probe(kSilent);
  const auto queued = Probe(kGood);
  bool drained = false;
  dispatcher_->Drain([&] { drained = true; });
  ASSERT_TRUE(answers_.contains(queued));
  ExpectUnavailable(answers_[queued], "shutting down");
  EXPECT_EQ(dispatcher_->CountRunning(), 1U);
  EXPECT_FALSE(drained);
}

}  // namespace
}  // namespace iperf3_exporter
