// The pool against workers that misbehave: real processes, one hazard each.
#include "supervisor/pool/worker_pool.h"

#include <event2/event.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/helpers/rogue_worker_link.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerPoolTest : public testing::Test {
 protected:
  void StartPool(const std::string& mode, std::uint32_t count) {
    rogue_ = std::make_unique<RogueWorkerLink>(mode);
    WorkerPool::Settings settings;
    settings.path = rogue_->path();
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

  // Turns the loop until `condition`; a test that never gets there fails.
  template <typename Condition>
  void LoopUntil(Condition condition) {
    const Deadline limit = Clock::now() + seconds(30);
    Timer tick(base_.get(), [this] { Break(); });
    while (!condition()) {
      ASSERT_LT(Clock::now(), limit);
      tick.Start(milliseconds(20));
      ::event_base_dispatch(base_.get());
    }
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
  std::optional<JobResult> RunJob(const Job& job) {
    LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) > 0; });
    std::optional<JobResult> got;
    EXPECT_TRUE(pool_->TryRun(job, [&](const JobResult& result) {
      EXPECT_FALSE(got) << "answered twice";
      got = result;
    }));
    LoopUntil([&] { return got.has_value(); });
    return got;
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
  EXPECT_EQ(result->job_id, job.id);
  EXPECT_EQ(result->outcome, JobOutcome::kSucceeded);
  EXPECT_TRUE(restarts_.empty());
  EXPECT_EQ(pool_->latest_ready()->iperf3_version, "3.12");
}

TEST_F(WorkerPoolTest, TheWeakestSandboxCounts) {
  StartPool("weak_second", 3);
  EXPECT_FALSE(pool_->WeakestSandbox());
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 3; });
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
  StartPool(GetParam().mode, 1);
  Job job = MakeJob();
  if (GetParam().restart == WorkerRestart::kHung) job.deadline = Clock::now() + milliseconds(50);
  const auto lost = RunJob(job);
  EXPECT_EQ(lost->outcome, JobOutcome::kFailed);
  EXPECT_EQ(lost->reason, FailureReason::kWorkerLost);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), GetParam().restart);
  // The one that takes its place works; "127.0.0.2" makes it behave.
  EXPECT_EQ(RunJob(MakeJob("127.0.0.2"))->outcome, JobOutcome::kSucceeded);
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
                                         Breach{"close", WorkerRestart::kCrashed},
                                         Breach{"crash", WorkerRestart::kCrashed}),
                         [](const auto& breach) { return std::string(breach.param.mode); });

TEST_F(WorkerPoolTest, ASecondAnswerIsABreach) {
  StartPool("twice", 1);
  EXPECT_EQ(RunJob(MakeJob())->outcome, JobOutcome::kSucceeded);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), WorkerRestart::kProtocol);
}

TEST_F(WorkerPoolTest, AResultBeforeReadyIsABreach) {
  StartPool("unasked_result", 1);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), WorkerRestart::kProtocol);
  EXPECT_EQ(pool_->latest_ready(), nullptr);
}

TEST_F(WorkerPoolTest, AWorkerThatDiesAtStartIsTriedAgainLaterAndLater) {
  StartPool("crash_at_start", 1);
  const Deadline start = Clock::now();
  LoopUntil([this] { return restarts_.size() >= 4; });
  // 100, 200 and 400 ms of back-off lie between the first and the fourth.
  EXPECT_GE(Clock::now() - start, milliseconds(700));
  EXPECT_FALSE(pool_->AnyAlive());
}

TEST_F(WorkerPoolTest, AFaultOfOneDoesNotTouchTheJobOfAnother) {
  StartPool("crash", 2);
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 2; });
  std::vector<JobResult> results;
  const auto done = [&](const JobResult& result) { results.push_back(result); };
  const Job bad = MakeJob();
  const Job good = MakeJob("127.0.0.2");
  ASSERT_TRUE(pool_->TryRun(bad, done));
  ASSERT_TRUE(pool_->TryRun(good, done));
  EXPECT_FALSE(pool_->TryRun(MakeJob(), done));
  LoopUntil([&] { return results.size() == 2; });
  for (const JobResult& result : results) {
    EXPECT_EQ(result.outcome,
              result.job_id == good.id ? JobOutcome::kSucceeded : JobOutcome::kFailed);
  }
}

TEST_F(WorkerPoolTest, ACancelThatIsNotHeardEndsTheWorker) {
  StartPool("silence", 1);
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 1; });
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
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 2; });
  std::optional<JobResult> got;
  Job job = MakeJob();
  job.deadline = Clock::now() + milliseconds(200);
  ASSERT_TRUE(pool_->TryRun(job, [&](const JobResult& result) { got = result; }));
  pool_->Renew();
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kLockGone});
  EXPECT_EQ(pool_->CountIn(WorkerState::kBusy), 1U);
  LoopUntil([&] { return got.has_value(); });
}

TEST_F(WorkerPoolTest, AWorkerThatInventsALossOfTheLockBreaksTheProtocol) {
  StartPool("lock_gone", 1);
  Job job = MakeJob();
  job.lock_slot = 0;
  EXPECT_EQ(RunJob(job)->reason, FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kProtocol});
}

TEST_F(WorkerPoolTest, ATrueLossOfTheLockRenewsEveryWorkerOnce) {
  StartPool("lock_gone", 2);
  lock_gone_ = true;
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 2; });
  std::vector<JobResult> results;
  for (int i = 0; i < 2; ++i) {
    Job job = MakeJob();
    job.lock_slot = 0;
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
  LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == 3; });
  pool_->Stop();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace iperf3_exporter
