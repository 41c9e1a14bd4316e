// The life of every probe between its request and its answer: resolve, check, wait, test,
// perhaps try again. All on the loop's thread. The deadline is fixed when a probe starts, and the
// probe is answered by then, whatever its worker does. A probe of which a test was tried is
// answered with that test, whatever keeps it from trying again.
//
// What runs and what waits is known from the workers' messages alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "supervisor/config/options.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/probe/name_lookups.h"
#include "supervisor/probe/probe_queue.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/resolver.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/workers/worker_pool.h"

namespace iperf3_exporter {

struct WaitingProbe {
  std::string target;
  std::uint16_t port;
  std::chrono::nanoseconds waited;
  std::chrono::nanoseconds left;  // until it gives up
};

class ProbeDispatcher {
 public:
  using Id = ProbeQueue::Ticket;
  using Done = std::function<void(const ProbeAnswer&)>;

  // What its owner counts and shows. None may call the dispatcher or the pool.
  struct Hooks {
    std::function<void()> on_change;  // something began or ceased to wait or to run
    // An answered probe had waited for a lock, and acquired it or not.
    std::function<void(std::chrono::nanoseconds)> on_lock_wait;
    std::function<void()> on_lock_timeout;
    std::function<void()> on_lock_recovery;
  };

  // All references must outlive this.
  ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool, Hooks hooks);
  ~ProbeDispatcher();
  ProbeDispatcher(const ProbeDispatcher&) = delete;
  ProbeDispatcher& operator=(const ProbeDispatcher&) = delete;

  // The id for the next Start.
  [[nodiscard]] Id NextId() { return next_id_++; }

  // Starts a probe whose request came at `received`. `done` is called once, perhaps before Start
  // returns, unless the probe is cancelled first.
  void Start(Id id, ProbeRequest request, Deadline received, Deadline deadline, Done done);

  // The scraper hung up: the probe leaves the queue, or its iperf3 is terminated. `done` will not
  // be called. False when the probe was answered already.
  bool Cancel(Id id);

  // For the pool's hooks: a worker is idle; something happened to a job.
  void Dispatch();
  void OnJobEvent(const JobEvent& event);

  // Answers every probe that has not begun its test with 503 and from now on every new one;
  // `drained` is called, once, when the running ones are over.
  void Drain(std::function<void()> drained);
  // Terminates the running tests; their scrapers are answered with `cancelled`.
  void CancelRunning();

  // The first `max` of those that wait, in order: for a lock that another exporter holds, or in the
  // queue. The cost does not depend on the others.
  [[nodiscard]] std::vector<WaitingProbe> ListWaiting(std::size_t max) const;
  [[nodiscard]] std::size_t CountWaiting() const { return queue_.size() + at_lock_.size(); }
  [[nodiscard]] std::size_t CountRunning() const { return testing_.size(); }

 private:
  struct Probe;
  enum class State {
    kResolving,
    kQueued,
    kAtLock,   // its worker has not started iperf3 yet
    kTesting,  // its worker has started iperf3
    kBackoff,  // between two tests
  };

  void Resolve(Probe& probe);
  void OnResolved(Id id, const Result<Resolved>& resolved);
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
  void AnswerOrTryAgain(Probe& probe, TestFailure failure);
  [[nodiscard]] bool TryAgain(Probe& probe);

  // Keeps the sets of those with a worker.
  void Enter(Probe& probe, State state);
  void LeaveWorker(Probe& probe);

  void AnswerSucceeded(Probe& probe, const Measurement& measurement);
  void AnswerFailed(Probe& probe, const TestFailure& failure);
  // With the test that was tried before, if one was.
  void AnswerUnavailable(Probe& probe, RefusalReason reason);
  void Finish(Probe& probe, const ProbeAnswer& answer);
  void Forget(Id id);

  event_base* base_;
  const Options& options_;
  WorkerPool& pool_;
  Hooks hooks_;
  NameLookups lookups_;
  ProbeQueue queue_;
  std::minstd_rand random_{std::random_device{}()};
  // Not answered, or answered while their worker still had the job.
  std::map<Id, std::unique_ptr<Probe>> probes_;
  Id next_id_ = 1;
  std::set<Id> at_lock_;
  std::set<Id> testing_;
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace iperf3_exporter
