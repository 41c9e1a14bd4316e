#include "supervisor/probe/probe_dispatcher.h"

#include <algorithm>
#include <utility>

#include "common/logging.h"
#include "supervisor/probe/probe_progress.h"
#include "supervisor/probe/probe_timing.h"
#include "supervisor/probe/refusal_text.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

}  // namespace

struct ProbeDispatcher::Probe {
  Probe(Id probe_id, ProbeProgress its_progress, Done on_done, event_base* base,
        std::function<void()> on_timer)
      : id(probe_id),
        progress(std::move(its_progress)),
        done(std::move(on_done)),
        timer(base, std::move(on_timer)) {}

  [[nodiscard]] bool HasWorker() const {
    return state == State::kAtLock || state == State::kTesting;
  }

  Id id;
  ProbeProgress progress;
  Done done;  // null once it is answered, or its scraper has hung up
  State state = State::kResolving;
  Timer timer;  // the end of the state: of the lookup, the wait or the back-off; or the deadline
};

ProbeDispatcher::ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool,
                                 Hooks hooks)
    : base_(base),
      options_(options),
      pool_(pool),
      hooks_(std::move(hooks)),
      lookups_(base, [policy = options.target_policy](
                         const Host& target, const std::optional<Host>& bind, IpVersion version) {
        return ResolveHosts(target, bind, version, policy);
      }) {}

ProbeDispatcher::~ProbeDispatcher() = default;

void ProbeDispatcher::Start(Id id, ProbeRequest request, Deadline received, Deadline deadline,
                            Done done) {
  auto owned = std::make_unique<Probe>(id, ProbeProgress(std::move(request), received, deadline),
                                       std::move(done), base_, [this, id] { OnTimer(id); });
  Probe& probe = *owned;
  probes_.emplace(id, std::move(owned));
  const ProbeRequest& asked = probe.progress.request();
  if (draining_) {
    AnswerUnavailable(probe, RefusalReason::kDraining);
  } else if (!options_.target_policy.AllowsPort(asked.port)) {
    Finish(probe, tl::unexpected(Refusal{RefusalReason::kForbidden, kPortForbidden}));
  } else if (!options_.target_policy.MayAllow(asked.host)) {
    Finish(probe, tl::unexpected(Refusal{RefusalReason::kForbidden, kTargetForbidden}));
  } else if (!pool_.AnyAlive() && !pool_.latest_error().empty()) {
    // Those that start now will find what the latest one found.
    AnswerUnavailable(probe, RefusalReason::kNoWorker);
  } else if (Clock::now() > probe.progress.last_start()) {
    AnswerFailed(probe, {FailureReason::kDeadline, "no second of test fits before the deadline"});
  } else {
    Resolve(probe);
  }
}

bool ProbeDispatcher::Cancel(Id id) {
  const auto found = probes_.find(id);
  if (found == probes_.end() || !found->second->done) return false;
  Probe& probe = *found->second;
  probe.done = nullptr;
  if (probe.HasWorker()) {
    probe.timer.Stop();
    pool_.Cancel(id, WorkerGiveUpTime(Clock::now()));  // the job's last event forgets the probe
  } else {
    queue_.Remove(id);
    Forget(id);
  }
  return true;
}

void ProbeDispatcher::Resolve(Probe& probe) {
  const ProbeRequest& request = probe.progress.request();
  if (!NeedsLookup(request.host, request.bind)) {
    OnResolved(probe.id, ResolveHosts(request.host, request.bind, request.ip_version,
                                      options_.target_policy));
    return;
  }
  const Id id = probe.id;
  const Status started =
      lookups_.Start(id, request.host, request.bind, request.ip_version,
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
  if (resolved->target.empty()) {
    Finish(probe, tl::unexpected(Refusal{RefusalReason::kForbidden, kTargetForbidden}));
    return;
  }
  std::vector<TargetPath> paths = BuildPaths(*resolved, probe.progress.request().ip_version);
  if (paths.empty()) {
    AnswerFailed(
        probe, {FailureReason::kUnreachable, "the target has no address of the family asked for"});
    return;
  }
  probe.progress.SetPaths(std::move(paths));
  Enqueue(probe);
  // Only a probe that has to wait can be one too many. One that comes back to the queue can't.
  if (queue_.size() > options_.max_queued && queue_.Remove(id)) {
    AnswerUnavailable(probe, RefusalReason::kQueueFull);
  }
}

void ProbeDispatcher::Enqueue(Probe& probe) {
  ProbeProgress& progress = probe.progress;
  progress.BeginWait(Clock::now(), options_.lock_scope, options_.lock_timeout);
  const nanoseconds wait = TimeLeft(progress.queue_deadline());
  probe.timer.Start(pool_.AnyAlive() ? wait : std::min<nanoseconds>(wait, kWorkerReplacementTime));
  queue_.Push(probe.id, progress.lock_key());
  Enter(probe, State::kQueued);
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

void ProbeDispatcher::Run(Probe& probe) {
  ProbeProgress& progress = probe.progress;
  const Deadline now = Clock::now();
  if (!pool_.TryRun(progress.BuildJob(probe.id, now), WorkerGiveUpTime(progress.deadline()))) {
    // The worker that was idle had died: back to its place.
    queue_.Finish(progress.lock_key());
    queue_.Push(probe.id, progress.lock_key());
    return;
  }
  progress.EndWait(now);
  probe.timer.Start(TimeLeft(progress.deadline()));
  Enter(probe, State::kAtLock);
}

void ProbeDispatcher::OnTimer(Id id) {
  Probe& probe = *probes_.at(id);
  switch (probe.state) {
    case State::kResolving:
      AnswerFailed(probe, {FailureReason::kResolve, "no answer from the resolver in time"});
      return;
    case State::kQueued:
      OnQueueTimeout(probe);
      return;
    case State::kBackoff:
      Enqueue(probe);
      return;
    case State::kAtLock:
    case State::kTesting:
      OnDeadline(probe);
      return;
  }
}

void ProbeDispatcher::OnQueueTimeout(Probe& probe) {
  if (!pool_.AnyAlive()) {
    LeaveQueue(probe);
    AnswerUnavailable(probe, RefusalReason::kNoWorker);
    return;
  }
  // The worker that was waited for has come, but an earlier probe has it.
  if (const nanoseconds left = TimeLeft(probe.progress.queue_deadline());
      left > nanoseconds::zero()) {
    probe.timer.Start(left);
    return;
  }
  const bool only_a_worker_was_missing = queue_.IsRunnable(probe.id);
  LeaveQueue(probe);
  AnswerUnavailable(probe, only_a_worker_was_missing ? RefusalReason::kWorkerTimeout
                                                     : RefusalReason::kLockTimeout);
}

// The worker hangs. Until the pool has killed it, its lock stays occupied.
void ProbeDispatcher::OnDeadline(Probe& probe) {
  const auto& earlier = probe.progress.last_failure();
  if (probe.state == State::kAtLock && earlier) {
    AnswerFailed(probe, *earlier);
  } else {
    AnswerFailed(probe, {FailureReason::kDeadline, "the worker had not answered at the deadline"});
  }
}

void ProbeDispatcher::OnJobEvent(const JobEvent& event) {
  std::visit([this](const auto& of_job) { On(*probes_.at(of_job.job_id), of_job); }, event);
}

void ProbeDispatcher::On(Probe& probe, const wire::Started& started) {
  probe.progress.OnStarted(started, Clock::now());
  if (started.recovered_lock) hooks_.on_lock_recovery();
  Enter(probe, State::kTesting);
}

void ProbeDispatcher::On(Probe& probe, const wire::NotStarted& not_started) {
  using Why = wire::NotStarted::Why;
  LeaveWorker(probe);
  probe.progress.OnNotStarted(Clock::now());
  if (!probe.done) {
    Forget(probe.id);
  } else if (not_started.why == Why::kLockTimeout) {
    AnswerUnavailable(probe, RefusalReason::kLockTimeout);
  } else if (not_started.why == Why::kLockGone) {
    OnLockGone(probe);
  } else if (not_started.why == Why::kNoTime) {
    AnswerOrTryAgain(probe, {FailureReason::kDeadline, "no whole second of test was left"});
  } else if (draining_) {
    AnswerUnavailable(probe, RefusalReason::kDraining);
  } else {
    AnswerOrTryAgain(probe, {FailureReason::kCancelled, ""});
  }
  Dispatch();
}

void ProbeDispatcher::On(Probe& probe, const wire::Finished& finished) {
  LeaveWorker(probe);
  probe.progress.OnFinished(finished.result);
  if (!probe.done) {
    Forget(probe.id);
  } else if (finished.result) {
    AnswerSucceeded(probe, *finished.result);
  } else {
    AnswerOrTryAgain(probe, finished.result.error());
  }
  Dispatch();
}

// The lock exists again.
void ProbeDispatcher::OnLockGone(Probe& probe) {
  if (draining_) {
    AnswerUnavailable(probe, RefusalReason::kDraining);
  } else if (TimeLeft(probe.progress.queue_deadline()) == nanoseconds::zero()) {
    AnswerUnavailable(probe, RefusalReason::kLockTimeout);
  } else {
    Enqueue(probe);
  }
}

void ProbeDispatcher::AnswerOrTryAgain(Probe& probe, TestFailure failure) {
  if (TryAgain(probe)) return;
  AnswerFailed(probe, probe.progress.last_failure().value_or(std::move(failure)));
}

bool ProbeDispatcher::TryAgain(Probe& probe) {
  if (draining_) return false;
  const auto pause = probe.progress.NextTry(Clock::now(), options_.probe_retries, random_);
  if (!pause) return false;
  if (*pause == nanoseconds::zero()) {
    Enqueue(probe);
  } else {
    probe.timer.Start(*pause);
    Enter(probe, State::kBackoff);
  }
  return true;
}

void ProbeDispatcher::Drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  std::vector<Id> waiting;
  for (const auto& [id, probe] : probes_) {
    if (!probe->HasWorker()) waiting.push_back(id);
  }
  for (const Id id : at_lock_) {
    // Without a lock iperf3 starts at once. With one, its worker may be about to report that it has
    // started: the events of its job say what the answer is.
    if (probes_.at(id)->progress.lock_key() != kNoLock) {
      pool_.Cancel(id, WorkerGiveUpTime(Clock::now()));
    }
  }
  for (const Id id : waiting) {
    Probe& probe = *probes_.at(id);
    LeaveQueue(probe);
    AnswerUnavailable(probe, RefusalReason::kDraining);
  }
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void ProbeDispatcher::CancelRunning() {
  for (const auto& [id, probe] : probes_) {
    if (probe->HasWorker()) pool_.Cancel(id, WorkerGiveUpTime(Clock::now()));
  }
}

std::vector<WaitingProbe> ProbeDispatcher::ListWaiting(std::size_t max) const {
  std::vector<Id> ids(at_lock_.begin(), at_lock_.end());
  std::size_t queued = 0;
  for (const auto& [id, key] : queue_.waiting()) {
    if (queued++ == max) break;
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.resize(std::min(ids.size(), max));
  std::vector<WaitingProbe> list;
  list.reserve(ids.size());
  const auto now = Clock::now();
  for (const Id id : ids) {
    const ProbeProgress& progress = probes_.at(id)->progress;
    list.push_back({progress.request().target, progress.request().port, now - progress.queued(),
                    TimeLeft(progress.queue_deadline())});
  }
  return list;
}

void ProbeDispatcher::Enter(Probe& probe, State state) {
  at_lock_.erase(probe.id);
  testing_.erase(probe.id);
  probe.state = state;
  if (state == State::kAtLock) at_lock_.insert(probe.id);
  if (state == State::kTesting) testing_.insert(probe.id);
  hooks_.on_change();
}

// The job's last event has come: the next probe may have its lock.
void ProbeDispatcher::LeaveWorker(Probe& probe) {
  queue_.Finish(probe.progress.lock_key());
  Enter(probe, State::kBackoff);
}

void ProbeDispatcher::AnswerSucceeded(Probe& probe, const Measurement& measurement) {
  const ProbeRequest& request = probe.progress.request();
  Log(LogLevel::kDebug, "probe succeeded", {{"target", request.target}, {"port", request.port}});
  Finish(probe, probe.progress.BuildReport(measurement, Clock::now()));
}

void ProbeDispatcher::AnswerFailed(Probe& probe, const TestFailure& failure) {
  const ProbeRequest& request = probe.progress.request();
  Log(LogLevel::kWarn, "probe failed",
      {{"target", request.target},
       {"port", request.port},
       {"reason", Name(failure.reason)},
       {"detail", failure.detail}});
  Finish(probe, probe.progress.BuildReport(tl::unexpected(failure), Clock::now()));
}

void ProbeDispatcher::AnswerUnavailable(Probe& probe, RefusalReason reason) {
  if (reason == RefusalReason::kLockTimeout) hooks_.on_lock_timeout();
  if (const auto& failure = probe.progress.last_failure(); failure) {
    AnswerFailed(probe, *failure);
  } else {
    const std::string text = UnavailableText(reason, options_.max_queued, pool_.latest_error());
    Finish(probe, tl::unexpected(Refusal{reason, text}));
  }
}

void ProbeDispatcher::Finish(Probe& probe, const ProbeAnswer& answer) {
  const bool waited = probe.progress.lock_key() != kNoLock &&
                      (answer || answer.error().reason == RefusalReason::kLockTimeout);
  const nanoseconds lock_wait = probe.progress.lock_wait();
  const Done done = std::exchange(probe.done, nullptr);
  // While a worker has the job the probe stays: its lock is occupied until the job's last event.
  if (!probe.HasWorker()) Forget(probe.id);
  done(answer);
  // Counted once the answer is on its way.
  if (waited) hooks_.on_lock_wait(lock_wait);
}

void ProbeDispatcher::Forget(Id id) {
  lookups_.Abandon(id);
  probes_.erase(id);
  hooks_.on_change();
  if (probes_.empty() && draining_ && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace iperf3_exporter
