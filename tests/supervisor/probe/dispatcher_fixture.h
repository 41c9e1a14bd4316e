// The dispatcher with a real pool of rogue workers, which outcome at once: they misbehave at
// 127.0.0.1 by their mode and behave at 127.0.0.2; a test of 127.0.0.3 never ends, one of 127.0.0.4
// ends on a cancel, one of 127.0.0.5 never starts.
#pragma once

#include <event2/event.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/probe/probe_dispatcher.h"
#include "tests/helpers/rogue_worker_link.h"

namespace iperf3_exporter {

inline constexpr char kMisbehaves[] = "127.0.0.1";
inline constexpr char kGood[] = "127.0.0.2";
inline constexpr char kSilent[] = "127.0.0.3";
inline constexpr char kGoodAfterCancel[] = "127.0.0.4";
inline constexpr char kHandedOver[] = "127.0.0.5";

class DispatcherFixture : public testing::Test {
 protected:
  DispatcherFixture() {
    options_.max_queued = 100;
    options_.lock_timeout = std::chrono::seconds(60);
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
            .on_lock_wait = [this](std::chrono::nanoseconds wait) { lock_waits_.push_back(wait); },
            .on_lock_timeout = [this] { ++lock_timeouts_; },
            .on_lock_recovery = [] {}});
    ASSERT_TRUE(pool_->Start());
    if (wait_until_idle) {
      LoopUntil([this] { return pool_->CountIn(WorkerState::kIdle) == options_.worker_count; });
    }
  }

  // With a module of its own, so that its test is not equal to any other.
  ProbeRequest RequestFor(const std::string& target) {
    ProbeRequest request;
    request.target = target;
    request.host = *ParseHost(target);
    request.test.period_seconds = 1;
    request.module = ModulesOfFlags(options_).default_module;
    return request;
  }

  ProbeDispatcher::Id Probe(const std::string& target,
                            std::chrono::nanoseconds time = std::chrono::seconds(30)) {
    return Start(RequestFor(target), time);
  }

  ProbeDispatcher::Id Start(const ProbeRequest& request, std::chrono::nanoseconds time) {
    const Deadline now = Clock::now();
    // `done` may be called before the id is known.
    const auto outcome = std::make_shared<std::optional<ProbeOutcome>>();
    const auto id = dispatcher_->Start(
        request, now, now + time, [outcome](const ProbeOutcome& given) { *outcome = given; },
        [this](const auto& traffic) { ended_.push_back(traffic); });
    outcomes_.emplace(id, outcome);
    return id;
  }

  const ProbeOutcome& OutcomeOf(ProbeDispatcher::Id id) {
    LoopUntil([&] { return IsAnswered(id); });
    return **outcomes_.at(id);
  }
  [[nodiscard]] bool IsAnswered(ProbeDispatcher::Id id) const {
    return outcomes_.at(id)->has_value();
  }

  static void ExpectSuccess(const ProbeOutcome& outcome) {
    ASSERT_TRUE(outcome) << outcome.error().text;
    EXPECT_TRUE(outcome->result);
  }

  static void ExpectFailed(const ProbeOutcome& outcome, FailureReason reason) {
    ASSERT_TRUE(outcome) << outcome.error().text;
    ASSERT_FALSE(outcome->result);
    EXPECT_EQ(outcome->result.error().reason, reason);
  }

  static void ExpectRefused(const ProbeOutcome& outcome, RefusalReason reason,
                            const std::string& words) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().reason, reason);
    EXPECT_NE(outcome.error().text.find(words), std::string::npos) << outcome.error().text;
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
  ProbeDispatcher::Id StartPausingProbe(std::chrono::nanoseconds time = std::chrono::seconds(30)) {
    const ProbeDispatcher::Id id = Probe(kMisbehaves, time);
    LoopUntil([this] { return dispatcher_->CountRunning() + dispatcher_->CountWaiting() == 0; });
    EXPECT_FALSE(IsAnswered(id));
    return id;
  }

  template <typename Condition>
  void LoopUntil(Condition condition) {
    const Deadline limit = Clock::now() + std::chrono::seconds(30);
    Timer tick(base_.get(), [this] { ::event_base_loopbreak(base_.get()); });
    while (!condition()) {
      ASSERT_LT(Clock::now(), limit);
      tick.Start(std::chrono::milliseconds(5));
      ::event_base_dispatch(base_.get());
    }
  }

  Options options_;
  EventBase base_ = CreateEventBase();
  std::unique_ptr<RogueWorkerLink> rogue_;
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<ProbeDispatcher> dispatcher_;
  std::map<ProbeDispatcher::Id, std::shared_ptr<std::optional<ProbeOutcome>>> outcomes_;
  int restarts_ = 0;
  std::pair<std::size_t, std::size_t> status_;  // running and waiting, at the latest change
  std::vector<std::chrono::nanoseconds> lock_waits_;
  std::vector<std::optional<Traffic>> ended_;  // probes, in the order of their end
  int lock_timeouts_ = 0;
};

}  // namespace iperf3_exporter
