#include "supervisor/probe/probe_dispatcher.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/logging.h"
#include "supervisor/probe/probe_progress.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// How long a probe that finds no worker alive waits for one: what replacing a worker takes. A
// start-up of a moment then costs no probe, and workers that do not come back cost it no more.
constexpr seconds kReplacementTime{2};

}  // namespace

struct ProbeDispatcher::Probe {
  enum class State { kResolving, kQueued, kRunning, kPausing };

  Probe(Id probe_id, ProbeProgress its_progress, Done on_done, event_base* base,
        std::function<void()> on_timer)
      : id(probe_id),
        progress(std::move(its_progress)),
        done(std::move(on_done)),
        timer(base, std::move(on_timer)) {}

  Id id;
  ProbeProgress progress;
  Done done;  // null once the scraper has gone
  State state = State::kResolving;
  bool holds_lost_lock = false;
  Timer timer;  // of the state: the end of the lookup, of the wait, or of the pause
};

ProbeDispatcher::ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool,
                                 ExporterMetrics& metrics, HoldsLock holds_lock)
    : base_(base),
      options_(options),
      pool_(pool),
      metrics_(metrics),
      holds_lock_(std::move(holds_lock)),
      lookups_(base) {}

ProbeDispatcher::~ProbeDispatcher() = default;

void ProbeDispatcher::Start(Id id, ProbeRequest request, Deadline received, Deadline deadline,
                            Done done) {
  auto owned = std::make_unique<Probe>(id, ProbeProgress(std::move(request), received, deadline),
                                       std::move(done), base_, [this, id] { OnTimer(id); });
  Probe& probe = *owned;
  probes_.emplace(id, std::move(owned));
  const ProbeRequest& asked = probe.progress.request();
  if (draining_) {
    AnswerUnavailable(probe, ProbeResult::kDraining);
  } else if (!options_.target_policy.AllowsPort(asked.port)) {
    Finish(probe, BuildForbidden(kPortForbidden));
  } else if (!options_.target_policy.MayAllow(asked.host)) {
    Finish(probe, BuildForbidden(kTargetForbidden));
  } else if (!pool_.AnyAlive() && !pool_.latest_error().empty()) {
    // Those that start now will find what the latest one found.
    AnswerUnavailable(probe, ProbeResult::kNoWorker);
  } else if (Clock::now() > probe.progress.last_start()) {
    AnswerFailed(probe, {FailureReason::kDeadline, "no second of test fits before the deadline"});
  } else {
    Resolve(probe);
  }
}

void ProbeDispatcher::Cancel(Id id) {
  const auto found = probes_.find(id);
  if (found == probes_.end()) return;
  Probe& probe = *found->second;
  probe.done = nullptr;
  metrics_.OnProbe(ProbeResult::kCancelled, Clock::now() - probe.progress.received());
  if (probe.state == Probe::State::kRunning) {
    pool_.Cancel(id);  // OnResult forgets it
    return;
  }
  queue_.Remove(id);
  Forget(id);
}

void ProbeDispatcher::Resolve(Probe& probe) {
  const ProbeRequest& request = probe.progress.request();
  const bool binds_name = request.bind && !request.bind->address;
  if (request.host.address && !binds_name) {
    OnResolved(probe.id, Resolved{{*request.host.address}, {}});
    return;
  }
  const Id id = probe.id;
  const Status started = lookups_.Start(
      id, request.host.text, binds_name ? request.bind->text : std::string(), request.ip_version,
      [this, id](const Result<Resolved>& resolved) { OnResolved(id, resolved); });
  if (!started) {
    AnswerFailed(probe, {FailureReason::kResolve, started.error().message});
    return;
  }
  probe.timer.Start(TimeLeft(probe.progress.last_start()));
}

void ProbeDispatcher::OnResolved(Id id, const Result<Resolved>& resolved) {
  Probe& probe = *probes_.at(id);
  if (!resolved) {
    AnswerFailed(probe, {FailureReason::kResolve, resolved.error().message});
    return;
  }
  auto paths = AllowedPaths(probe.progress.request(), *resolved, options_.target_policy);
  if (!paths) {
    Finish(probe, BuildForbidden(kTargetForbidden));
    return;
  }
  if (paths->empty()) {
    AnswerFailed(
        probe, {FailureReason::kUnreachable, "the target has no address of the family asked for"});
    return;
  }
  probe.progress.SetPaths(std::move(*paths));
  Enqueue(probe);
  // Only who would have to wait can be one too many; who comes back to the queue was let in before.
  if (queue_.size() > options_.max_queued && queue_.Remove(id)) {
    AnswerUnavailable(probe, ProbeResult::kQueueFull);
  }
}

void ProbeDispatcher::Enqueue(Probe& probe) {
  ProbeProgress& progress = probe.progress;
  probe.state = Probe::State::kQueued;
  progress.BeginWait(Clock::now(), options_.lock_scope, options_.lock_timeout);
  const nanoseconds wait = TimeLeft(progress.leave_queue());
  probe.timer.Start(pool_.AnyAlive() ? wait : std::min<nanoseconds>(wait, kReplacementTime));
  queue_.Push(probe.id, progress.lock_key());
  Dispatch();
}

void ProbeDispatcher::LeaveQueue(Probe& probe) {
  if (queue_.Remove(probe.id)) probe.progress.EndWait(Clock::now());
}

void ProbeDispatcher::Dispatch() {
  while (pool_.CountIn(WorkerState::kIdle) > 0) {
    const auto id = queue_.PopNext();
    if (!id) return;
    Run(*probes_.at(*id));
  }
}

void ProbeDispatcher::OnTimer(Id id) {
  Probe& probe = *probes_.at(id);
  switch (probe.state) {
    case Probe::State::kResolving:
      AnswerFailed(probe, {FailureReason::kResolve, "no answer from the resolver in time"});
      return;
    case Probe::State::kQueued:
      OnWaitOver(probe);
      return;
    case Probe::State::kPausing:
      Enqueue(probe);
      return;
    case Probe::State::kRunning:
      return;  // the pool watches it
  }
}

void ProbeDispatcher::OnWaitOver(Probe& probe) {
  if (!pool_.AnyAlive()) {
    LeaveQueue(probe);
    AnswerUnavailable(probe, ProbeResult::kNoWorker);
    return;
  }
  // The worker that was waited for has come, only to be taken by an earlier probe.
  if (const nanoseconds left = TimeLeft(probe.progress.leave_queue()); left > nanoseconds::zero()) {
    probe.timer.Start(left);
    return;
  }
  const bool only_a_worker_was_missing = queue_.IsRunnable(probe.id);
  LeaveQueue(probe);
  AnswerUnavailable(
      probe, only_a_worker_was_missing ? ProbeResult::kWorkerTimeout : ProbeResult::kLockTimeout);
}

void ProbeDispatcher::Run(Probe& probe) {
  ProbeProgress& progress = probe.progress;
  const Deadline now = Clock::now();
  if (!pool_.TryRun(progress.BuildJob(probe.id, now),
                    [this, id = probe.id](const JobResult& result) { OnResult(id, result); })) {
    // The worker that was idle had died: back to its place.
    queue_.Finish(progress.lock_key());
    queue_.Push(probe.id, progress.lock_key());
    return;
  }
  probe.timer.Stop();
  probe.state = Probe::State::kRunning;
  probe.holds_lost_lock = false;
  progress.EndWait(now);
  running_.insert(probe.id);
}

void ProbeDispatcher::OnResult(Id id, const JobResult& result) {
  Probe& probe = *probes_.at(id);
  ProbeProgress& progress = probe.progress;
  running_.erase(id);
  queue_.Finish(progress.lock_key());
  if (result.recovered_lock) metrics_.OnLockRecovery();
  metrics_.OnImplausibleValues(result.measurement.implausible_values);
  progress.EndJob(result, Clock::now());
  if (probe.done == nullptr) {
    Forget(id);
  } else if (result.outcome == JobOutcome::kSucceeded) {
    AnswerSucceeded(probe, result);
  } else if (result.outcome == JobOutcome::kLockTimeout) {
    AnswerUnavailable(probe, ProbeResult::kLockTimeout);
  } else if (result.outcome == JobOutcome::kLockGone) {
    OnLockGone(probe);
  } else if (draining_ && result.reason == FailureReason::kCancelled && !WasTried(result)) {
    AnswerUnavailable(probe, ProbeResult::kDraining);
  } else if (!progress.last_failure()) {
    AnswerFailed(probe, {result.reason, result.error_text, result.period_seconds});
  } else if (!TryAgain(probe)) {
    AnswerFailed(probe, *progress.last_failure());
  }
  Dispatch();
}

// The pool has seen to it that it was true and that there is a new one.
void ProbeDispatcher::OnLockGone(Probe& probe) {
  if (draining_) {
    AnswerUnavailable(probe, ProbeResult::kDraining);
  } else if (TimeLeft(probe.progress.leave_queue()) == nanoseconds::zero()) {
    AnswerUnavailable(probe, ProbeResult::kLockTimeout);
  } else {
    Enqueue(probe);
  }
}

bool ProbeDispatcher::TryAgain(Probe& probe) {
  if (draining_) return false;
  const auto pause = probe.progress.NextTry(Clock::now(), options_.probe_retries, random_);
  if (!pause) return false;
  if (*pause == nanoseconds::zero()) {
    Enqueue(probe);
  } else {
    probe.state = Probe::State::kPausing;
    probe.timer.Start(*pause);
  }
  return true;
}

void ProbeDispatcher::Drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  std::vector<Id> waiting;
  for (const auto& [id, probe] : probes_) {
    if (probe->state != Probe::State::kRunning) {
      waiting.push_back(id);
    } else if (IsAtLock(*probe)) {
      // Its worker knows whether it has begun meanwhile: OnResult answers it.
      pool_.Cancel(id);
    }
  }
  for (const Id id : waiting) {
    Probe& probe = *probes_.at(id);
    LeaveQueue(probe);
    AnswerUnavailable(probe, ProbeResult::kDraining);
  }
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void ProbeDispatcher::CancelRunning() {
  for (const auto& [id, probe] : probes_) {
    if (probe->state == Probe::State::kRunning) pool_.Cancel(id);
  }
}

bool ProbeDispatcher::IsAtLock(const Probe& probe) const {
  const LockKey key = probe.progress.lock_key();
  return probe.state == Probe::State::kRunning && key != kNoLock && !probe.holds_lost_lock &&
         !holds_lock_(key);
}

void ProbeDispatcher::OnLockLost() {
  for (const Id id : running_) {
    Probe& probe = *probes_.at(id);
    probe.holds_lost_lock = !IsAtLock(probe);
  }
}

std::size_t ProbeDispatcher::CountAtLock() const {
  return static_cast<std::size_t>(std::count_if(
      running_.begin(), running_.end(), [this](Id id) { return IsAtLock(*probes_.at(id)); }));
}

std::size_t ProbeDispatcher::CountWaiting() const { return queue_.size() + CountAtLock(); }

std::vector<WaitingProbe> ProbeDispatcher::ListWaiting(std::size_t most) const {
  std::vector<Id> ids;
  std::copy_if(running_.begin(), running_.end(), std::back_inserter(ids),
               [this](Id id) { return IsAtLock(*probes_.at(id)); });
  std::size_t queued = 0;
  for (const auto& [id, key] : queue_.waiting()) {
    if (queued++ == most) break;
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.resize(std::min(ids.size(), most));
  std::vector<WaitingProbe> list;
  list.reserve(ids.size());
  const auto now = Clock::now();
  for (const Id id : ids) {
    const ProbeProgress& progress = probes_.at(id)->progress;
    list.push_back({progress.request().target, progress.request().port, now - progress.queued(),
                    TimeLeft(progress.leave_queue())});
  }
  return list;
}

void ProbeDispatcher::AnswerSucceeded(Probe& probe, const JobResult& result) {
  const ProbeRequest& request = probe.progress.request();
  Log(LogLevel::kDebug, "probe succeeded", {{"target", request.target}, {"port", request.port}});
  Finish(probe, BuildSuccess(probe.progress, result, Clock::now()));
}

void ProbeDispatcher::AnswerFailed(Probe& probe, const TestFailure& failure) {
  const ProbeRequest& request = probe.progress.request();
  Log(LogLevel::kWarn, "probe failed",
      {{"target", request.target},
       {"port", request.port},
       {"reason", Name(failure.reason)},
       {"detail", failure.text}});
  Finish(probe, BuildFailure(probe.progress, failure, Clock::now()));
}

void ProbeDispatcher::AnswerUnavailable(Probe& probe, ProbeResult result) {
  if (result == ProbeResult::kLockTimeout) metrics_.OnLockTimeout();
  if (const auto& failure = probe.progress.last_failure(); failure) {
    AnswerFailed(probe, *failure);
  } else {
    Finish(probe, BuildUnavailable(result, options_.max_queued, pool_.latest_error()));
  }
}

void ProbeDispatcher::Finish(Probe& probe, const ProbeAnswer& answer) {
  const Deadline now = Clock::now();
  const Done done = std::exchange(probe.done, nullptr);
  const ProbeProgress progress = std::move(probe.progress);
  Forget(probe.id);
  if (done) done(answer);
  // It is on its way by now.
  CountAnswer(progress, answer, now, metrics_);
}

void ProbeDispatcher::Forget(Id id) {
  lookups_.Abandon(id);
  probes_.erase(id);
  if (probes_.empty() && draining_ && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace iperf3_exporter
