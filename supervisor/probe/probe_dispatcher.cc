#include "supervisor/probe/probe_dispatcher.h"

#include <algorithm>
#include <utility>

#include "common/logging.h"
#include "supervisor/probe/probe_progress.h"
#include "supervisor/probe/probe_timing.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

// Says neither which rule refuses the target nor what its name resolved to.
constexpr char kTargetForbidden[] = "the target is not allowed";
constexpr char kPortForbidden[] = "the port is not allowed";

// The line of text of a 503. `worker_error`: why the latest worker could not work, if known.
std::string UnavailableText(RefusalReason reason, std::size_t max_queued,
                            const std::string& worker_error) {
  switch (reason) {
    case RefusalReason::kQueueFull:
      return "the queue is full: " + std::to_string(max_queued) +
             " probes are waiting (--probe.max-queued)";
    case RefusalReason::kLockTimeout:
      return "the lock was not acquired in time: another test holds it";
    case RefusalReason::kWorkerTimeout:
      return "no worker was free in time (--worker.count)";
    case RefusalReason::kDraining:
      return "the exporter is shutting down";
    default:
      return worker_error.empty() ? "no worker is alive" : "no worker is alive: " + worker_error;
  }
}

}  // namespace

struct ProbeDispatcher::Probe {
  [[nodiscard]] bool HasWorker() const {
    return state == State::kAtLock || state == State::kTesting;
  }

  const Id id;
  ProbeProgress progress;
  Done done;    // null once it is answered, or its scraper has hung up
  Timer timer;  // the end of the lookup, of the wait or of the back-off; or the deadline
  State state = State::kResolving;
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

ProbeDispatcher::Id ProbeDispatcher::Start(ProbeRequest request, Deadline received,
                                           Deadline deadline, Done done) {
  const Id id = ++last_id_;
  std::unique_ptr<Probe> owned(new Probe{.id = id,
                                         .progress{std::move(request), received, deadline},
                                         .done = std::move(done),
                                         .timer{base_, [this, id] { OnTimer(id); }}});
  Probe& probe = *owned;
  probes_.emplace(id, std::move(owned));
  ++counts_[static_cast<std::size_t>(State::kResolving)];
  const ProbeRequest& asked = probe.progress.request();
  if (draining_) {
    AnswerUnavailable(probe, RefusalReason::kDraining);
  } else if (!options_.target_policy.AllowsPort(asked.port)) {
    Finish(probe, tl::unexpected(Refusal{RefusalReason::kForbidden, kPortForbidden}));
  } else if (!options_.target_policy.MayAllow(asked.host)) {
    Finish(probe, tl::unexpected(Refusal{RefusalReason::kForbidden, kTargetForbidden}));
  } else if (!pool_.AnyAlive() && !pool_.latest_error().empty()) {
    // The next worker would find the same.
    AnswerUnavailable(probe, RefusalReason::kNoWorker);
  } else if (Clock::now() > probe.progress.last_start()) {
    AnswerFailed(probe, {FailureReason::kDeadline, "no second of test fits before the deadline"});
  } else {
    Resolve(probe);
  }
  return id;
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
  std::vector<TargetPath> paths = BuildPaths(*resolved);
  if (paths.empty()) {
    AnswerFailed(
        probe, {FailureReason::kUnreachable, "the target has no address of the requested family"});
    return;
  }
  probe.progress.SetPaths(std::move(paths));
  Enqueue(probe);
  // Only a new probe that has to wait may exceed the limit, not one that returns for a retry.
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
  if (queue_.IsRunnable(probe.id)) Dispatch();
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
    // The idle worker had died.
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
  // A worker was replaced in time, but an earlier probe has it.
  if (const nanoseconds left = TimeLeft(probe.progress.queue_deadline());
      left > nanoseconds::zero()) {
    probe.timer.Start(left);
    return;
  }
  const bool needs_only_worker = queue_.IsRunnable(probe.id);
  LeaveQueue(probe);
  AnswerUnavailable(
      probe, needs_only_worker ? RefusalReason::kWorkerTimeout : RefusalReason::kLockTimeout);
}

// The worker hangs. Until the pool has killed it, its lock stays occupied.
void ProbeDispatcher::OnDeadline(Probe& probe) {
  const auto& earlier = probe.progress.last_failure();
  if (probe.state == State::kAtLock && earlier) {
    AnswerFailed(probe, *earlier);
  } else {
    AnswerFailed(probe,
                 {FailureReason::kDeadline, "the worker did not answer before the deadline"});
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
  for (auto next = probes_.begin(); next != probes_.end();) {
    Probe& probe = *(next++)->second;  // An answer erases it.
    if (!probe.HasWorker()) {
      LeaveQueue(probe);
      AnswerUnavailable(probe, RefusalReason::kDraining);
    } else if (probe.state == State::kAtLock && probe.progress.lock_key() != kNoLock) {
      // Without a lock iperf3 starts at once. With one, the worker may be about to report the
      // start: the events of the job decide about the answer.
      pool_.Cancel(probe.id, WorkerGiveUpTime(Clock::now()));
    }
  }
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void ProbeDispatcher::CancelRunning() {
  for (const auto& [id, probe] : probes_) {
    if (probe->HasWorker()) pool_.Cancel(id, WorkerGiveUpTime(Clock::now()));
  }
}

std::vector<WaitingProbe> ProbeDispatcher::ListWaiting(std::size_t max) const {
  std::vector<WaitingProbe> list;
  const Deadline now = Clock::now();
  for (const auto& [id, probe] : probes_) {
    if (list.size() == max) break;
    if (probe->state != State::kQueued && probe->state != State::kAtLock) continue;
    const ProbeProgress& progress = probe->progress;
    list.push_back({progress.request().target, progress.request().port, now - progress.queued(),
                    TimeLeft(progress.queue_deadline())});
  }
  return list;
}

void ProbeDispatcher::Enter(Probe& probe, State state) {
  --counts_[static_cast<std::size_t>(std::exchange(probe.state, state))];
  ++counts_[static_cast<std::size_t>(state)];
  hooks_.on_change();
}

// The job has ended: the next probe may have its lock.
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
  if (waited) hooks_.on_lock_wait(lock_wait);
}

void ProbeDispatcher::Forget(Id id) {
  lookups_.Abandon(id);
  const auto probe = probes_.extract(id);
  --counts_[static_cast<std::size_t>(probe.mapped()->state)];
  hooks_.on_change();
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace iperf3_exporter
