// The life of every probe between its request and its answer: resolve, check, wait, test,
// perhaps try again. All on the loop's thread; the deadline is fixed when a probe starts and
// everything ends inside it. A probe of which a test was tried is answered with that test, whatever
// keeps it from trying again.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/wire/job.h"
#include "supervisor/config/options.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/probe/name_lookups.h"
#include "supervisor/probe/probe_answer.h"
#include "supervisor/probe/probe_queue.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/resolver.h"
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

  // Whether a worker of ours holds that key of the lock now.
  using HoldsLock = std::function<bool(LockKey)>;

  // All references must outlive this.
  ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool,
                  ExporterMetrics& metrics, HoldsLock holds_lock);
  ~ProbeDispatcher();
  ProbeDispatcher(const ProbeDispatcher&) = delete;
  ProbeDispatcher& operator=(const ProbeDispatcher&) = delete;

  // The id for the next Start.
  [[nodiscard]] Id NextId() { return next_id_++; }

  // Starts a probe whose request came at `received`. `done` is called once, perhaps before Start
  // returns, unless the probe is cancelled first.
  void Start(Id id, ProbeRequest request, Deadline received, Deadline deadline, Done done);

  // The scraper went away: out of the queue at once, or iperf3 is told to end. `done` will
  // not be called. Nothing when the probe is over.
  void Cancel(Id id);

  // Hands waiting probes to idle workers; the pool calls it when one became free.
  void Dispatch();

  // Answers every probe that has not begun its test with 503 and from now on every new one;
  // `drained` is called, once, when the running ones are over.
  void Drain(std::function<void()> drained);
  // Ends the running probes early; their scrapers are told `cancelled`.
  void CancelRunning();

  // The lock is about to be made anew: a test that runs holds the old one, and is no less a test.
  void OnLockLost();

  // The first `most` of those that wait, in order: for a worker's lock (another exporter has it) or
  // in the queue. Costs nothing for the others.
  [[nodiscard]] std::vector<WaitingProbe> ListWaiting(std::size_t most) const;
  [[nodiscard]] std::size_t CountWaiting() const;
  // Those whose test runs.
  [[nodiscard]] std::size_t CountRunning() const { return running_.size() - CountAtLock(); }

 private:
  struct Probe;

  void Resolve(Probe& probe);
  void OnResolved(Id id, const Result<Resolved>& resolved);
  void Enqueue(Probe& probe);
  void LeaveQueue(Probe& probe);
  void OnTimer(Id id);
  void OnWaitOver(Probe& probe);
  void Run(Probe& probe);
  void OnResult(Id id, const JobResult& result);
  void OnLockGone(Probe& probe);
  [[nodiscard]] bool TryAgain(Probe& probe);
  // With a worker, which waits for the lock.
  [[nodiscard]] bool IsAtLock(const Probe& probe) const;
  [[nodiscard]] std::size_t CountAtLock() const;

  void AnswerSucceeded(Probe& probe, const JobResult& result);
  void AnswerFailed(Probe& probe, const TestFailure& failure);
  // With what was tried before, if anything was.
  void AnswerUnavailable(Probe& probe, ProbeResult result);
  // Takes the probe out and tells its scraper; the last thing that is done with it.
  void Finish(Probe& probe, const ProbeAnswer& answer);
  void Forget(Id id);

  event_base* base_;
  const Options& options_;
  WorkerPool& pool_;
  ExporterMetrics& metrics_;
  HoldsLock holds_lock_;
  NameLookups lookups_;
  ProbeQueue queue_;
  std::minstd_rand random_{std::random_device{}()};
  std::map<Id, std::unique_ptr<Probe>> probes_;
  Id next_id_ = 1;
  std::set<Id> running_;  // with a worker
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace iperf3_exporter
