// The pool against workers that misbehave: real processes, one hazard each.
#include "supervisor/workers/worker_pool.h"

#include <event2/event.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/common/lock/lock_fixture.h"
#include "tests/helpers/rogue_worker_link.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What makes any rogue behave: at once, or when its job is cancelled.
constexpr char kGood[] = "127.0.0.2";
constexpr char kGoodAfterCancel[] = "127.0.0.4";

class WorkerPoolTest : public testing::Test {
 protected:
  void StartPool(const std::string& mode, std::uint32_t count, const WorkerConfig& config = {}) {
    rogue_ = std::make_unique<RogueWorkerLink>(mode);
    WorkerPool::Settings settings;
    settings.path = rogue_->path();
    settings.config = config;
    settings.count = count;
    pool_ = std::make_unique<WorkerPool>(base_.get(), settings,
                                         WorkerPool::Hooks{.on_idle = [this] { Break(); },
                                                           .on_restart =
                                                               [this](WorkerRestart reason) {
                                                                 restarts_.push_back(reason);
                                                                 Break();
                                                               },
                                                           .renew_lock =
                                                               [this] {
                                                                 if (lock_gone_) pool_->Renew();
                                                                 return lock_gone_;
                                                               }});
    ASSERT_TRUE(pool_->Start());
  }

  void Break() { ::event_base_loopbreak(base_.get()); }

  // Turns the loop until `condition`; ends a test that never gets there.
  template <typename Condition>
  void LoopUntil(Condition condition) {
    const Deadline limit = Clock::now() + seconds(30);
    Timer tick(base_.get(), [this] { Break(); });
    while (!condition()) {
      if (Clock::now() > limit) throw std::runtime_error("what was waited for never came");
      tick.Start(milliseconds(20));
      ::event_base_dispatch(base_.get());
    }
  }

  // On a loaded machine a worker may be replaced because it was not ready in time; the restarts
  // from here on are what the test is about.
  void AwaitIdle(std::size_t count) {
    LoopUntil([&] { return pool_->CountIn(WorkerState::kIdle) >= count; });
    restarts_.clear();
  }

  Job MakeJob(const std::string& target = "127.0.0.1") {
    Job job;
    job.id = next_id_++;
    job.target = target;
    job.address = *ParseIpAddress("127.0.0.1");
    job.deadline = Clock::now() + seconds(20);
    job.lock_deadline = job.deadline;
    return job;
  }

  // Runs one job on the first idle worker and gives its result.
  JobResult RunJob(const Job& job) {
    AwaitIdle(1);
    std::optional<JobResult> got;
    EXPECT_TRUE(pool_->TryRun(job, [&](const JobResult& result) {
      EXPECT_FALSE(got) << "answered twice";
      got = result;
    }));
    LoopUntil([&] { return got.has_value(); });
    return *got;
  }

  EventBase base_ = CreateEventBase();
  std::unique_ptr<RogueWorkerLink> rogue_;
  std::unique_ptr<WorkerPool> pool_;
  std::vector<WorkerRestart> restarts_;
  bool lock_gone_ = false;  // what its owner finds when a worker says so
  std::uint64_t next_id_ = 1;
};

TEST_F(WorkerPoolTest, GivesTheResultOfAGoodWorker) {
  StartPool("good", 2);
  const Job job = MakeJob();
  const auto result = RunJob(job);
  EXPECT_EQ(result.job_id, job.id);
  EXPECT_EQ(result.outcome, JobOutcome::kSucceeded);
  EXPECT_TRUE(restarts_.empty());
  EXPECT_EQ(pool_->latest_ready()->iperf3_version, "3.12");
}

TEST_F(WorkerPoolTest, TheWeakestSandboxCounts) {
  StartPool("weak_second", 3);
  EXPECT_FALSE(pool_->WeakestSandbox());
  AwaitIdle(3);
  const auto weakest = pool_->WeakestSandbox();
  ASSERT_TRUE(weakest);
  SandboxReport expected;
  expected.worker.fill(LayerState::kInForce);
  expected.iperf3.fill(LayerState::kInForce);
  expected.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)] = LayerState::kMissing;
  EXPECT_EQ(*weakest, expected);
}

struct Breach {
  const char* mode;
  WorkerRestart restart;
};

class WorkerPoolBreachTest : public WorkerPoolTest, public testing::WithParamInterface<Breach> {};

TEST_P(WorkerPoolBreachTest, CostsItsJobAndTheWorkerOnly) {
  StartPool(GetParam().mode, 2);
  AwaitIdle(2);
  std::optional<JobResult> other;
  Job in_flight = MakeJob(kGoodAfterCancel);
  in_flight.deadline = Clock::now() + seconds(90);
  ASSERT_TRUE(pool_->TryRun(in_flight, [&](const JobResult& result) { other = result; }));
  Job job = MakeJob();
  if (GetParam().restart == WorkerRestart::kHung) job.deadline = Clock::now() + milliseconds(50);
  const JobResult lost = RunJob(job);
  EXPECT_EQ(lost.outcome, JobOutcome::kFailed);
  EXPECT_EQ(lost.reason, FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{GetParam().restart});
  // The one that takes its place works, and the other one has not noticed.
  EXPECT_EQ(RunJob(MakeJob(kGood)).outcome, JobOutcome::kSucceeded);
  EXPECT_FALSE(other);
  pool_->Cancel(in_flight.id);
  LoopUntil([&] { return other.has_value(); });
  EXPECT_EQ(other->outcome, JobOutcome::kSucceeded);
}

INSTANTIATE_TEST_SUITE_P(Modes, WorkerPoolBreachTest,
                         testing::Values(Breach{"garbage", WorkerRestart::kProtocol},
                                         Breach{"oversize", WorkerRestart::kProtocol},
                                         Breach{"wrong_version", WorkerRestart::kProtocol},
                                         Breach{"out_of_range", WorkerRestart::kProtocol},
                                         Breach{"not_a_number", WorkerRestart::kProtocol},
                                         Breach{"endless_text", WorkerRestart::kProtocol},
                                         Breach{"other_job", WorkerRestart::kProtocol},
                                         Breach{"other_direction", WorkerRestart::kProtocol},
                                         Breach{"ready_again", WorkerRestart::kProtocol},
                                         Breach{"silence", WorkerRestart::kHung},
                                         Breach{"orphan", WorkerRestart::kHung},
                                         Breach{"close", WorkerRestart::kCrashed},
                                         Breach{"close_and_live", WorkerRestart::kCrashed},
                                         Breach{"crash", WorkerRestart::kCrashed}),
                         [](const auto& breach) { return std::string(breach.param.mode); });

TEST_F(WorkerPoolTest, ASecondAnswerIsABreach) {
  StartPool("twice", 1);
  EXPECT_EQ(RunJob(MakeJob()).outcome, JobOutcome::kSucceeded);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), WorkerRestart::kProtocol);
}

TEST_F(WorkerPoolTest, ASecondAnswerIsNotTakenForTheNextOne) {
  StartPool("twice_late", 1);
  EXPECT_EQ(RunJob(MakeJob()).outcome, JobOutcome::kSucceeded);
  EXPECT_EQ(RunJob(MakeJob()).reason, FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kProtocol});
}

TEST_F(WorkerPoolTest, AnErrorTextIsHandedOnCutButUnread) {
  StartPool("hostile_text", 1);
  const JobResult result = RunJob(MakeJob());
  EXPECT_EQ(result.reason, FailureReason::kServerError);
  EXPECT_EQ(result.error_text.size(), kMaxErrorTextBytes);
  EXPECT_TRUE(restarts_.empty());
}

// Before it was ready there is no job to lose.
class WorkerPoolStartTest : public WorkerPoolTest, public testing::WithParamInterface<Breach> {};

TEST_P(WorkerPoolStartTest, NothingIsTakenFromAWorkerThatIsNotReady) {
  StartPool(GetParam().mode, 1);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), GetParam().restart);
  EXPECT_EQ(pool_->latest_ready(), nullptr);
  EXPECT_EQ(pool_->latest_error().find_first_of("\n<\x1b"), std::string::npos);
  EXPECT_FALSE(pool_->AnyAlive());
}

INSTANTIATE_TEST_SUITE_P(Modes, WorkerPoolStartTest,
                         testing::Values(Breach{"unasked_result", WorkerRestart::kProtocol},
                                         Breach{"ready_hostile_version", WorkerRestart::kProtocol},
                                         Breach{"ready_hostile_error", WorkerRestart::kProtocol},
                                         Breach{"silent_start", WorkerRestart::kNotReady},
                                         Breach{"crash_at_start", WorkerRestart::kCrashed}),
                         [](const auto& breach) { return std::string(breach.param.mode); });

// A lock of this test's own.
class LockedConfig {
 public:
  LockedConfig() {
    config_.lock_name = "worker_pool_test." + std::to_string(::getpid());
    config_.lock_scope = LockScope::kHost;
    EXPECT_TRUE(CreateLockFiles(config_.lock_name, config_.lock_scope));
  }
  ~LockedConfig() { RemoveLockFiles(config_.lock_name, config_.lock_scope); }
  LockedConfig(const LockedConfig&) = delete;
  LockedConfig& operator=(const LockedConfig&) = delete;

  [[nodiscard]] const WorkerConfig& config() const { return config_; }
  [[nodiscard]] bool CanAcquire() const {
    auto lock = HostLock::Open(config_.lock_name, config_.lock_scope);
    return lock && (*lock)->Acquire(MakeLockKey("host"), {}, Clock::now() + seconds(10), -1);
  }

 private:
  WorkerConfig config_;
};

TEST_F(WorkerPoolTest, AnOrphanDoesNotKeepTheLock) {
  const LockedConfig lock;
  StartPool("orphan", 1, lock.config());
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  job.deadline = Clock::now() + milliseconds(500);
  EXPECT_EQ(RunJob(job).reason, FailureReason::kWorkerLost);
  // The first orphan's child becomes ours when the orphan has died, which the loop is told.
  std::optional<bool> acquired;
  LoopUntil([&] {
    if (pool_->CountIn(WorkerState::kIdle) == 1) acquired = lock.CanAcquire();
    return acquired.has_value();
  });
  EXPECT_EQ(acquired, true);
}

TEST_F(WorkerPoolTest, StopEndsWhatAHungWorkerHadStarted) {
  const LockedConfig lock;
  StartPool("orphan", 1, lock.config());
  AwaitIdle(1);
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  ASSERT_TRUE(pool_->TryRun(job, [](const JobResult&) { ADD_FAILURE(); }));
  const auto monitor = LockMonitor::Open(lock.config().lock_name, lock.config().lock_scope);
  ASSERT_TRUE(monitor);
  LoopUntil([&] { return !monitor->Read().holders.empty(); });
  pool_->Stop();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_TRUE(lock.CanAcquire());
}

TEST_F(WorkerPoolTest, AWorkerThatDiesAtStartIsTriedAgainLaterAndLater) {
  StartPool("crash_at_start", 1);
  const Deadline start = Clock::now();
  LoopUntil([this] { return restarts_.size() >= 4; });
  // 100, 200 and 400 ms of back-off lie between the first and the fourth.
  EXPECT_GE(Clock::now() - start, milliseconds(700));
  EXPECT_FALSE(pool_->AnyAlive());
}

TEST_F(WorkerPoolTest, AJobThatFindsNoIdleWorkerIsNotTaken) {
  StartPool("good", 1);
  AwaitIdle(1);
  ASSERT_TRUE(pool_->TryRun(MakeJob(kGoodAfterCancel), [](const JobResult&) {}));
  EXPECT_FALSE(pool_->TryRun(MakeJob(), [](const JobResult&) { ADD_FAILURE(); }));
}

TEST_F(WorkerPoolTest, ACancelThatIsNotHeardEndsTheWorker) {
  StartPool("silence", 1);
  AwaitIdle(1);
  std::optional<JobResult> got;
  const Job job = MakeJob();
  ASSERT_TRUE(pool_->TryRun(job, [&](const JobResult& result) { got = result; }));
  pool_->Cancel(job.id);
  LoopUntil([&] { return got.has_value(); });
  EXPECT_EQ(got->reason, FailureReason::kWorkerLost);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), WorkerRestart::kHung);
}

TEST_F(WorkerPoolTest, RenewReplacesIdleWorkersNowAndBusyOnesAfterTheirJob) {
  StartPool("silence", 2);
  AwaitIdle(2);
  std::optional<JobResult> got;
  Job job = MakeJob();
  job.deadline = Clock::now() + milliseconds(200);
  ASSERT_TRUE(pool_->TryRun(job, [&](const JobResult& result) { got = result; }));
  pool_->Renew();
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kLockGone});
  EXPECT_EQ(pool_->CountIn(WorkerState::kBusy), 1U);
  EXPECT_EQ(pool_->CountIn(WorkerState::kDown), 0U);
  LoopUntil([&] { return got.has_value(); });
}

TEST_F(WorkerPoolTest, AWorkerThatInventsALossOfTheLockBreaksTheProtocol) {
  StartPool("lock_gone", 1);
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  EXPECT_EQ(RunJob(job).reason, FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kProtocol});
}

TEST_F(WorkerPoolTest, ATrueLossOfTheLockRenewsEveryWorkerOnce) {
  StartPool("lock_gone", 2);
  lock_gone_ = true;
  AwaitIdle(2);
  std::vector<JobResult> results;
  for (int i = 0; i < 2; ++i) {
    Job job = MakeJob();
    job.lock_key = MakeLockKey("host");
    ASSERT_TRUE(pool_->TryRun(job, [&](const JobResult& result) {
      results.push_back(result);
      // The second tells of the same deletion, when nothing is gone any more.
      lock_gone_ = false;
    }));
  }
  LoopUntil([&] { return results.size() == 2; });
  for (const JobResult& result : results) EXPECT_EQ(result.outcome, JobOutcome::kLockGone);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>(2, WorkerRestart::kLockGone));
}

TEST_F(WorkerPoolTest, StopLeavesNoProcess) {
  StartPool("silence", 3);
  AwaitIdle(3);
  pool_->Stop();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace iperf3_exporter
