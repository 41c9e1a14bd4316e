// The life of every probe between its request and its response: resolve, check, wait, test, and
// perhaps retry. Loop thread only. A probe is answered by its deadline, whatever its worker does.
// If a test was tried but can't be retried, the response reports that test.
//
// A probe with max_age may be answered with the result of an equal test: an earlier one, or one
// that it joins. A joined test goes on as long as anybody waits for it. A probe that can't use its
// result (the test was never tried, or a shorter deadline than its own cut it) goes on by itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "common/limited_log.h"
#include "supervisor/config/options.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/probe/name_lookups.h"
#include "supervisor/probe/probe_queue.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/probe_table.h"
#include "supervisor/probe/resolver.h"
#include "supervisor/probe/server_pauses.h"
#include "supervisor/probe/shared_tests.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/results/result_store.h"
#include "supervisor/workers/worker_pool.h"

namespace iperf3_exporter {

class ProbeDispatcher {
 public:
  using Id = ProbeTable::Id;
  using Done = Probe::Done;
  using Ended = Probe::Ended;

  // None of them may call the dispatcher or the pool.
  struct Hooks {
    std::function<void()> on_change;  // of CountRunning or CountWaiting
    // A probe that needed a lock was answered. Its wait, whether it acquired the lock or not.
    std::function<void(std::chrono::nanoseconds)> on_lock_wait;
    std::function<void()> on_lock_timeout;
    std::function<void()> on_lock_recovery;
  };

  // All references must outlive this.
  ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool, Hooks hooks);
  ProbeDispatcher(const ProbeDispatcher&) = delete;
  ProbeDispatcher& operator=(const ProbeDispatcher&) = delete;

  // Starts a probe whose request arrived at `received`. `done` is called once, perhaps before Start
  // returns, unless the probe is cancelled first. `ended` is called once in any case, when no
  // worker runs a test of this probe any more; not if this is destroyed before. It must not call
  // the dispatcher.
  Id Start(ProbeRequest request, TimePoint received, Deadline deadline, Done done,
           Ended ended = nullptr);

  // The scraper hung up: unless others have joined its test, the probe leaves the queue, or its
  // iperf3 is terminated. `done` will not be called. Returns false if the probe has been answered.
  bool Cancel(Id id);

  // For the pool's hooks: a worker is idle; something happened to a job.
  void Dispatch();
  void OnJobEvent(const JobEvent& event);

  // Answers every probe whose test has not started, and every new one, with 503. `drained` is
  // called once, when all running probes are answered.
  void Drain(std::function<void()> drained);
  // Terminates the running tests; their scrapers are answered with `cancelled`.
  void CancelRunning();

  // The first `max` probes in order of arrival that wait in the queue or for a lock that another
  // exporter holds.
  [[nodiscard]] std::vector<WaitingProbe> ListWaiting(std::size_t max) const {
    return probes_.ListWaiting(max);
  }
  [[nodiscard]] std::size_t CountWaiting() const {
    return probes_.Count(ProbeState::kQueued) + probes_.Count(ProbeState::kHandedOver);
  }
  [[nodiscard]] std::size_t CountRunning() const { return probes_.Count(ProbeState::kTesting); }

 private:
  void Resolve(Probe& probe);
  void OnResolved(Id id, const Result<Resolved>& resolved);
  // Shares another test, or waits for one of its own.
  void Begin(Probe& probe);
  // Answers the probe with an earlier result, if there is one that it accepts.
  [[nodiscard]] bool TryReuse(Probe& probe, const TestKey& key);
  [[nodiscard]] bool TryJoin(Probe& probe, const TestKey& key);
  // `outcome` is that of the probe whose test it was; `result` is empty if the test was not tried.
  void OnJoinedTestEnded(Probe& probe, const ProbeOutcome& outcome,
                         const std::optional<StoredResult>& result);
  // Whether anybody waits for its test.
  [[nodiscard]] bool IsWanted(const Probe& probe) const {
    return probe.done || shared_tests_.IsJoined(probe.id);
  }
  void Abandon(Probe& probe);
  void Enqueue(Probe& probe);
  void LeaveQueue(Probe& probe);
  void Run(Probe& probe);
  void OnTimer(Id id);
  void OnQueueTimeout(Probe& probe);
  void OnDeadline(Probe& probe);

  void On(Probe& probe, const wire::Started& started);
  void On(Probe& probe, const wire::NotStarted& not_started);
  void On(Probe& probe, const wire::Finished& finished);
  void OnLockGone(Probe& probe);
  void RetryOrFail(Probe& probe, TestFailure fallback);

  void Enter(Probe& probe, ProbeState state) {
    probes_.Enter(probe, state);
    hooks_.on_change();
  }
  void LeaveWorker(Probe& probe);

  void FinishWithFailure(Probe& probe, const TestFailure& failure);
  // Ends a probe that can't run a (further) test: with the last failed test if there is one,
  // otherwise with 503.
  void GiveUp(Probe& probe, RefusalReason reason);
  // Fills in target and port.
  void Refuse(Probe& probe, Refusal refusal);
  void Finish(Probe& probe, const ProbeOutcome& outcome);
  void Forget(Id id);

  event_base* base_;
  const Options& options_;
  WorkerPool& pool_;
  Hooks hooks_;
  NameLookups lookups_;
  ProbeQueue queue_;
  SharedTests shared_tests_;
  ResultStore results_;
  ServerPauses pauses_;
  LimitedLog failures_{LogLevel::kWarn, "probe failed"};
  std::minstd_rand random_{std::random_device{}()};
  ProbeTable probes_;
  Id last_id_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace iperf3_exporter
