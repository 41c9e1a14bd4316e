// The pool against workers that misbehave: real processes, one hazard each.
#include "supervisor/workers/worker_pool.h"

#include <event2/event.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/common/lock/lock_fixture.h"
#include "tests/helpers/rogue_worker_link.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Targets at which any rogue behaves, never ends its test, or ends it when it is cancelled.
constexpr char kGood[] = "127.0.0.2";
constexpr char kSilent[] = "127.0.0.3";
constexpr char kGoodAfterCancel[] = "127.0.0.4";

class WorkerPoolTest : public testing::Test {
 protected:
  void StartPool(const std::string& mode, std::uint32_t count, const WorkerConfig& config = {}) {
    rogue_ = std::make_unique<RogueWorkerLink>(mode);
    WorkerPool::Settings settings;
    settings.path = rogue_->path();
    settings.config = config;
    settings.count = count;
    pool_ = std::make_unique<WorkerPool>(
        base_.get(), settings,
        WorkerPool::Hooks{.on_idle = [this] { Break(); },
                          .on_job_event = [this](const JobEvent& event) { OnJobEvent(event); },
                          .on_restart =
                              [this](WorkerRestart reason) {
                                restarts_.push_back(reason);
                                Break();
                              },
                          .on_lock_gone = [this] { OnLockGone(); }});
    ASSERT_TRUE(pool_->Start());
  }

  void OnJobEvent(const JobEvent& event) {
    if (const auto* started = std::get_if<wire::Started>(&event)) {
      EXPECT_FALSE(IsOver(started->job_id));
      EXPECT_TRUE(started_.insert(started->job_id).second) << "started twice";
    } else if (const auto* finished = std::get_if<wire::Finished>(&event)) {
      EXPECT_FALSE(IsOver(finished->job_id)) << "answered twice";
      results_.emplace(finished->job_id, finished->result);
    } else {
      const auto& not_started = std::get<wire::NotStarted>(event);
      EXPECT_FALSE(IsOver(not_started.job_id)) << "answered twice";
      not_started_.emplace(not_started.job_id, not_started.reason);
    }
  }

  void OnLockGone() {
    ++lock_gone_reports_;
    if (lock_gone_) {
      pool_->OnLockChanged();
      lock_gone_ = false;
    } else {
      pool_->OnLockIntact();
    }
  }

  [[nodiscard]] bool IsOver(std::uint64_t job_id) const {
    return results_.contains(job_id) || not_started_.contains(job_id);
  }

  void Break() { ::event_base_loopbreak(base_.get()); }

  // Runs the loop until `condition` holds. Throws after 30 seconds.
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

  // Forgets the restarts of workers that were not ready in time on a loaded machine.
  void AwaitIdle(std::size_t count) {
    LoopUntil([&] { return pool_->CountIn(WorkerState::kIdle) >= count; });
    restarts_.clear();
  }

  Job MakeJob(const std::string& target = "127.0.0.1") {
    Job job;
    job.id = next_id_++;
    job.target = target;
    job.address = *ParseIpAddress("127.0.0.1");
    return job;
  }

  // Hands the job to an idle worker with a time limit.
  [[nodiscard]] bool TryRun(const Job& job, std::chrono::nanoseconds time = seconds(90)) {
    return pool_->TryRun(job, Clock::now() + time);
  }

  // The process of the only worker.
  static pid_t OnlyWorker() {
    pid_t pid = 0;
    std::ifstream("/proc/thread-self/children") >> pid;
    return pid;
  }

  // Runs one job on the first idle worker and returns its result.
  TestResult RunJob(const Job& job, std::chrono::nanoseconds time = seconds(20)) {
    AwaitIdle(1);
    EXPECT_TRUE(TryRun(job, time));
    LoopUntil([&] { return IsOver(job.id); });
    EXPECT_TRUE(results_.contains(job.id)) << "it was not started";
    return results_[job.id];
  }

  static FailureReason ReasonOf(const TestResult& result) {
    EXPECT_FALSE(result);
    return result ? FailureReason::kCancelled : result.error().reason;
  }

  EventBase base_ = CreateEventBase();
  std::unique_ptr<RogueWorkerLink> rogue_;
  std::unique_ptr<WorkerPool> pool_;
  std::vector<WorkerRestart> restarts_;
  std::set<std::uint64_t> started_;
  std::map<std::uint64_t, TestResult> results_;
  std::map<std::uint64_t, wire::NotStarted::Reason> not_started_;
  bool lock_gone_ = false;  // what the owner finds after a worker's report
  int lock_gone_reports_ = 0;
  std::uint64_t next_id_ = 1;
};

TEST_F(WorkerPoolTest, ReturnsTheResultOfAWorker) {
  StartPool("good", 2);
  const Job job = MakeJob();
  EXPECT_TRUE(RunJob(job));
  EXPECT_TRUE(started_.contains(job.id));
  EXPECT_TRUE(restarts_.empty());
  EXPECT_EQ(pool_->latest_ready()->iperf3.version, "3.12");
}

// Each worker of this mode adds a sign to the version that it is told.
TEST_F(WorkerPoolTest, TellsTheOtherWorkersWhatTheFirstHasFoundOut) {
  StartPool("echo_known", 2);
  AwaitIdle(1);
  EXPECT_EQ(pool_->CountIn(WorkerState::kIdle), 1U) << "they start after the first";
  EXPECT_EQ(pool_->latest_ready()->iperf3.version, "3.12");
  AwaitIdle(2);
  EXPECT_EQ(pool_->latest_ready()->iperf3.version, "3.12+");
}

TEST_F(WorkerPoolTest, AWorkerThatCannotStartIperf3IsReplacedByOneThatHasRunIt) {
  StartPool("cannot_start", 2);
  AwaitIdle(2);
  EXPECT_EQ(pool_->latest_ready()->iperf3.version, "3.12+") << "the second was told";
  EXPECT_EQ(pool_->NoTestText(), "");
  EXPECT_EQ(ReasonOf(RunJob(MakeJob())), FailureReason::kExec);
  EXPECT_EQ(restarts_, std::vector{WorkerRestart::kNotReady});
  EXPECT_EQ(pool_->CountIn(WorkerState::kIdle), 1U);
  EXPECT_EQ(pool_->NoTestText(), "iperf3 can't be started: clone: ?");
  AwaitIdle(2);
  EXPECT_EQ(pool_->latest_ready()->iperf3.version, "3.12") << "the successor was told";
  EXPECT_EQ(pool_->NoTestText(), "");
}

TEST_F(WorkerPoolTest, ATestThatStartsShowsThatIperf3CanBeStarted) {
  StartPool("cannot_start", 2);
  AwaitIdle(2);
  EXPECT_EQ(ReasonOf(RunJob(MakeJob())), FailureReason::kExec);
  EXPECT_NE(pool_->NoTestText(), "");
  EXPECT_TRUE(RunJob(MakeJob(kGood)));
  EXPECT_EQ(pool_->NoTestText(), "");
}

TEST_F(WorkerPoolTest, ReportsTheWeakestSandbox) {
  StartPool("weak_second", 3);
  EXPECT_FALSE(pool_->WeakestSandbox());
  AwaitIdle(3);
  const auto weakest = pool_->WeakestSandbox();
  ASSERT_TRUE(weakest);
  SandboxReport expected;
  expected.worker.fill(LayerState::kEnabled);
  expected.iperf3.fill(LayerState::kEnabled);
  expected.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)] = LayerState::kMissing;
  EXPECT_EQ(*weakest, expected);
}

struct Breach {
  const char* mode;
  WorkerRestart restart;
};

class WorkerPoolBreachTest : public WorkerPoolTest, public testing::WithParamInterface<Breach> {};

TEST_P(WorkerPoolBreachTest, FailsOnlyItsJob) {
  StartPool(GetParam().mode, 2);
  AwaitIdle(2);
  const Job in_flight = MakeJob(kGoodAfterCancel);
  ASSERT_TRUE(TryRun(in_flight));
  const bool hangs = GetParam().restart == WorkerRestart::kHung;
  const TestResult lost = RunJob(MakeJob(), hangs ? milliseconds(50) : milliseconds(20'000));
  EXPECT_EQ(ReasonOf(lost), FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{GetParam().restart});
  // Its replacement works, and the other worker is not affected.
  EXPECT_TRUE(RunJob(MakeJob(kGood)));
  EXPECT_FALSE(IsOver(in_flight.id));
  pool_->Cancel(in_flight.id, Clock::now() + seconds(30));
  LoopUntil([&] { return IsOver(in_flight.id); });
  EXPECT_TRUE(results_[in_flight.id]);
}

INSTANTIATE_TEST_SUITE_P(Modes, WorkerPoolBreachTest,
                         testing::Values(Breach{"garbage", WorkerRestart::kProtocol},
                                         Breach{"oversize", WorkerRestart::kProtocol},
                                         Breach{"wrong_version", WorkerRestart::kProtocol},
                                         Breach{"out_of_range", WorkerRestart::kProtocol},
                                         Breach{"not_a_number", WorkerRestart::kProtocol},
                                         Breach{"endless_traffic", WorkerRestart::kProtocol},
                                         Breach{"endless_text", WorkerRestart::kProtocol},
                                         Breach{"other_job", WorkerRestart::kProtocol},
                                         Breach{"other_direction", WorkerRestart::kProtocol},
                                         Breach{"no_direction", WorkerRestart::kProtocol},
                                         Breach{"ready_again", WorkerRestart::kProtocol},
                                         Breach{"cannot_work_after_all", WorkerRestart::kProtocol},
                                         Breach{"started_twice", WorkerRestart::kProtocol},
                                         Breach{"not_started_after_all", WorkerRestart::kProtocol},
                                         Breach{"finished_unstarted", WorkerRestart::kProtocol},
                                         Breach{"failed_unstarted", WorkerRestart::kProtocol},
                                         Breach{"other_start", WorkerRestart::kProtocol},
                                         Breach{"long_period", WorkerRestart::kProtocol},
                                         Breach{"recovered_no_lock", WorkerRestart::kProtocol},
                                         Breach{"lock_timeout", WorkerRestart::kProtocol},
                                         Breach{"lock_gone", WorkerRestart::kProtocol},
                                         Breach{"silence", WorkerRestart::kHung},
                                         Breach{"silence_at_lock", WorkerRestart::kHung},
                                         Breach{"orphan", WorkerRestart::kHung},
                                         Breach{"close", WorkerRestart::kCrashed},
                                         Breach{"close_and_live", WorkerRestart::kCrashed},
                                         Breach{"crash", WorkerRestart::kCrashed}),
                         [](const auto& breach) { return std::string(breach.param.mode); });

TEST_F(WorkerPoolTest, AResultCountsIfItsWorkerDiedAfterwards) {
  StartPool("last_words", 1);
  AwaitIdle(1);
  const Job job = MakeJob();
  ASSERT_TRUE(TryRun(job));
  // All its messages are there before the first is read.
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
  LoopUntil([&] { return IsOver(job.id); });
  EXPECT_TRUE(results_[job.id]);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kCrashed});
}

TEST_F(WorkerPoolTest, ASecondAnswerIsABreach) {
  StartPool("twice", 1);
  EXPECT_TRUE(RunJob(MakeJob()));
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), WorkerRestart::kProtocol);
}

TEST_F(WorkerPoolTest, ASecondAnswerIsNotThatOfTheNextJob) {
  StartPool("twice_late", 1);
  EXPECT_TRUE(RunJob(MakeJob()));
  EXPECT_EQ(ReasonOf(RunJob(MakeJob())), FailureReason::kWorkerLost);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kProtocol});
}

TEST_F(WorkerPoolTest, PassesOnAnErrorTextCutButUnchanged) {
  StartPool("hostile_text", 1);
  const TestResult result = RunJob(MakeJob());
  EXPECT_EQ(ReasonOf(result), FailureReason::kServerError);
  EXPECT_EQ(result.error().detail.size(), kMaxErrorTextBytes);
  EXPECT_TRUE(restarts_.empty());
}

// Whether its socket is found closed when its configuration is sent, later, or after its end.
TEST_F(WorkerPoolTest, AProgramThatEndsAtOnceAlwaysHasTheSameError) {
  for (int round = 0; round < 50; ++round) {
    WorkerPool pool(base_.get(), {.path = "/bin/true", .count = 1},
                    {.on_restart = [this](WorkerRestart) { Break(); }});
    const Status started = pool.Start();
    ASSERT_TRUE(started) << started.error().message;
    LoopUntil([&pool] { return pool.latest_error().has_value(); });
    EXPECT_EQ(pool.latest_error()->message,
              "/bin/true was not ready (closed its socket, exit status 0): is it the worker "
              "program, --worker.path?");
    pool.Stop();
  }
}

class WorkerPoolStartTest : public WorkerPoolTest, public testing::WithParamInterface<Breach> {};

TEST_P(WorkerPoolStartTest, AcceptsNothingFromAWorkerThatIsNotReady) {
  StartPool(GetParam().mode, 1);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), GetParam().restart);
  EXPECT_EQ(pool_->latest_ready(), nullptr);
  EXPECT_EQ(pool_->latest_error()->message.find_first_of("\n<\x1b"), std::string::npos);
  EXPECT_FALSE(pool_->AnyAlive());
}

INSTANTIATE_TEST_SUITE_P(Modes, WorkerPoolStartTest,
                         testing::Values(Breach{"unasked_result", WorkerRestart::kProtocol},
                                         Breach{"unasked_start", WorkerRestart::kProtocol},
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

TEST_F(WorkerPoolTest, AnOrphanDoesNotHoldTheLock) {
  const LockedConfig lock;
  StartPool("orphan", 1, lock.config());
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  job.times.kill_at = Clock::now() + seconds(20);
  EXPECT_EQ(ReasonOf(RunJob(job, milliseconds(500))), FailureReason::kWorkerLost);
  // The orphan's child becomes ours when the orphan has died.
  std::optional<bool> acquired;
  LoopUntil([&] {
    if (pool_->CountIn(WorkerState::kIdle) == 1) acquired = lock.CanAcquire();
    return acquired.has_value();
  });
  EXPECT_EQ(acquired, true);
}

TEST_F(WorkerPoolTest, StopKillsWhatAHungWorkerHasStarted) {
  const LockedConfig lock;
  StartPool("orphan", 1, lock.config());
  AwaitIdle(1);
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  job.times.kill_at = Clock::now() + seconds(20);
  ASSERT_TRUE(TryRun(job));
  const auto monitor = LockMonitor::Open(lock.config().lock_name, lock.config().lock_scope);
  ASSERT_TRUE(monitor);
  LoopUntil([&] { return !monitor->Read().holders.empty(); });
  pool_->Stop();
  EXPECT_FALSE(IsOver(job.id));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_TRUE(lock.CanAcquire());
}

TEST_F(WorkerPoolTest, ReplacesAWorkerThatDiesAtStartWithBackoff) {
  StartPool("crash_at_start", 1);
  const Deadline start = Clock::now();
  LoopUntil([this] { return restarts_.size() >= 4; });
  // Back-off of 100, 200 and 400 ms between the first and the fourth.
  EXPECT_GE(Clock::now() - start, milliseconds(700));
  EXPECT_FALSE(pool_->AnyAlive());
}

TEST_F(WorkerPoolTest, ReplacesAWorkerThatDiesSoonAfterItsStartWithBackoff) {
  StartPool("good", 1);
  const Deadline start = Clock::now();
  for (int death = 1; death <= 4; ++death) {
    AwaitIdle(1);
    ASSERT_EQ(::kill(OnlyWorker(), SIGKILL), 0);
    LoopUntil([this] { return !restarts_.empty(); });
  }
  // Back-off of 100, 200 and 400 ms between the first and the fourth.
  EXPECT_GE(Clock::now() - start, milliseconds(700));
}

TEST_F(WorkerPoolTest, RefusesAJobWithoutAnIdleWorker) {
  StartPool("good", 1);
  AwaitIdle(1);
  ASSERT_TRUE(TryRun(MakeJob(kGoodAfterCancel)));
  EXPECT_FALSE(TryRun(MakeJob()));
}

TEST_F(WorkerPoolTest, ReportsTheStartOfAJobBeforeItsEnd) {
  StartPool("good", 1);
  AwaitIdle(1);
  const Job job = MakeJob(kSilent);
  ASSERT_TRUE(TryRun(job));
  LoopUntil([&] { return started_.contains(job.id); });
  EXPECT_FALSE(IsOver(job.id));
}

TEST_F(WorkerPoolTest, AJobThatIsNotStartedKillsNoWorker) {
  StartPool("lock_timeout", 1);
  AwaitIdle(1);
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  ASSERT_TRUE(TryRun(job));
  LoopUntil([&] { return IsOver(job.id); });
  EXPECT_EQ(not_started_.at(job.id), wire::NotStarted::Reason::kLockTimeout);
  EXPECT_TRUE(RunJob(MakeJob(kGood)));
  EXPECT_TRUE(restarts_.empty());
}

TEST_F(WorkerPoolTest, KillsAWorkerThatIgnoresACancel) {
  StartPool("silence", 1);
  AwaitIdle(1);
  const Job job = MakeJob();
  ASSERT_TRUE(TryRun(job));
  pool_->Cancel(job.id, Clock::now() + milliseconds(200));
  LoopUntil([&] { return IsOver(job.id); });
  EXPECT_EQ(ReasonOf(results_[job.id]), FailureReason::kWorkerLost);
  LoopUntil([this] { return !restarts_.empty(); });
  EXPECT_EQ(restarts_.front(), WorkerRestart::kHung);
}

TEST_F(WorkerPoolTest, ACancelDoesNotExtendTheTimeOfAWorker) {
  StartPool("silence", 1);
  AwaitIdle(1);
  const Job job = MakeJob();
  ASSERT_TRUE(TryRun(job, milliseconds(200)));
  pool_->Cancel(job.id, Clock::now() + seconds(90));
  LoopUntil([&] { return IsOver(job.id); });
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kHung});
}

TEST_F(WorkerPoolTest, ANewLockReplacesIdleWorkersNowAndBusyOnesLater) {
  StartPool("good", 2);
  AwaitIdle(2);
  const Job job = MakeJob(kGoodAfterCancel);
  ASSERT_TRUE(TryRun(job));
  pool_->OnLockChanged();
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kLockGone});
  EXPECT_EQ(pool_->CountIn(WorkerState::kBusy), 1U);
  EXPECT_EQ(pool_->CountIn(WorkerState::kDown), 0U);
  pool_->Cancel(job.id, Clock::now() + seconds(30));
  LoopUntil([&] { return IsOver(job.id); });
  EXPECT_TRUE(results_[job.id]);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>(2, WorkerRestart::kLockGone));
  // Their replacements have the new lock.
  AwaitIdle(2);
  EXPECT_TRUE(RunJob(MakeJob(kGood)));
  EXPECT_TRUE(restarts_.empty());
}

TEST_F(WorkerPoolTest, AFalseReportOfALostLockBreaksTheProtocol) {
  StartPool("lock_gone", 1);
  Job job = MakeJob();
  job.lock_key = MakeLockKey("host");
  EXPECT_EQ(ReasonOf(RunJob(job)), FailureReason::kWorkerLost);
  EXPECT_EQ(lock_gone_reports_, 1);
  EXPECT_EQ(restarts_, std::vector<WorkerRestart>{WorkerRestart::kProtocol});
}

TEST_F(WorkerPoolTest, ALostLockReplacesEveryWorkerOnce) {
  StartPool("lock_gone", 2);
  lock_gone_ = true;
  AwaitIdle(2);
  // The second reports the same deletion, perhaps after the repair.
  for (int i = 0; i < 2; ++i) {
    Job job = MakeJob();
    job.lock_key = MakeLockKey("host");
    ASSERT_TRUE(TryRun(job));
  }
  LoopUntil([&] { return not_started_.size() == 2; });
  for (const auto& [id, reason] : not_started_)
    EXPECT_EQ(reason, wire::NotStarted::Reason::kLockGone);
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
