#include "supervisor/probe/probe_dispatcher.h"

#include <algorithm>
#include <utility>

#include "common/go_duration.h"
#include "common/logging.h"
#include "supervisor/probe/port_list.h"
#include "supervisor/probe/probe_progress.h"
#include "supervisor/probe/probe_timing.h"
#include "supervisor/probe/refusal.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

constexpr char kJoinedTooLong[] =
    "waited for an equal test of another request (max_age), which left no time for one of its own";

}  // namespace

ProbeDispatcher::ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool,
                                 Hooks hooks)
    : base_(base),
      options_(options),
      pool_(pool),
      hooks_(std::move(hooks)),
      lookups_(base, ResolveHosts) {}

ProbeDispatcher::Id ProbeDispatcher::Start(ProbeRequest request, TimePoint received,
                                           Deadline deadline, Done done, Ended ended) {
  const Id id = ++last_id_;
  RotateToRandomPort(request.ports, random_);
  Probe& probe = probes_.Add(id, {std::move(request), received, deadline}, std::move(done), base_,
                             [this, id] { OnTimer(id); });
  probe.ended = std::move(ended);
  if (draining_) {
    GiveUp(probe, RefusalReason::kDraining);
  } else if (auto forbidden = CheckPolicy(probe.progress.request())) {
    Refuse(probe, std::move(*forbidden));
  } else if (!pool_.AnyAlive() && pool_.latest_error()) {
    // A replacement would fail for the same reason.
    GiveUp(probe, RefusalReason::kNoWorker);
  } else if (Clock::now() > probe.progress.last_start()) {
    FinishWithFailure(probe, {FailureReason::kDeadline,
                              "too little time before the deadline for a test of one second"});
  } else {
    Resolve(probe);
  }
  return id;
}

bool ProbeDispatcher::Cancel(Id id) {
  Probe* probe = probes_.Find(id);
  if (probe == nullptr || !probe->done) return false;
  probe->done = nullptr;
  if (!IsWanted(*probe)) Abandon(*probe);
  return true;
}

void ProbeDispatcher::Abandon(Probe& probe) {
  const Id id = probe.id;
  shared_tests_.Close(id);
  if (probe.HasWorker()) {
    probe.timer.Stop();
    pool_.Cancel(id, WorkerKillTime(Clock::now()));  // the job's last event forgets the probe
  } else {
    queue_.Remove(id);
    Forget(id);
  }
}

void ProbeDispatcher::Resolve(Probe& probe) {
  const ProbeRequest& request = probe.progress.request();
  if (!NeedsLookup(request.host, request.bind)) {
    OnResolved(probe.id, ResolveHosts(request.host, request.bind, request.ip_version,
                                      request.module->target_policy));
    return;
  }
  const Id id = probe.id;
  const Status started = lookups_.Start(
      id, request, [this, id](const Result<Resolved>& resolved) { OnResolved(id, resolved); });
  if (!started) return FinishWithFailure(probe, {FailureReason::kResolve, started.error().message});
  probe.timer.Start(TimeLeft(probe.progress.last_start()));
}

void ProbeDispatcher::OnResolved(Id id, const Result<Resolved>& resolved) {
  Probe& probe = probes_.At(id);
  if (!resolved)
    return FinishWithFailure(probe, {FailureReason::kResolve, resolved.error().message});
  if (resolved->target.empty()) {
    return Refuse(probe, {.reason = RefusalReason::kForbidden,
                          .text = resolved->forbidden,
                          .detail = resolved->forbidden_detail});
  }
  std::vector<AddressPair> candidates = BuildAddressPairs(*resolved);
  if (candidates.empty()) {
    return FinishWithFailure(
        probe, {FailureReason::kUnreachable,
                "no address of the target has the family of the request or of bind_address"});
  }
  probe.progress.SetCandidates(std::move(candidates));
  Begin(probe);
}

void ProbeDispatcher::Begin(Probe& probe) {
  const Id id = probe.id;
  TestKey key = probe.progress.BuildKey();
  const bool shares = probe.progress.request().max_age > nanoseconds::zero();
  if (shares && (TryReuse(probe, key) || TryJoin(probe, key))) return;
  shared_tests_.Open(id, std::move(key));
  Enqueue(probe);
  // The limit is for new probes that have to wait; one that returns for a retry is never refused.
  if (queue_.size() > options_.max_queued && queue_.Remove(id)) {
    GiveUp(probe, RefusalReason::kQueueFull);
  }
}

bool ProbeDispatcher::TryReuse(Probe& probe, const TestKey& key) {
  const StoredResult* stored = results_.Find(key);
  if (stored == nullptr) return false;
  const TimePoint now = Clock::now();
  const nanoseconds age = now - stored->began;
  if (age > probe.progress.request().max_age || !probe.progress.Accepts(*stored, now)) return false;
  std::vector<LogField> fields = probe.progress.LogFields();
  fields.emplace_back("age", FormatGoDuration(age));
  Log(LogLevel::kDebug, "probe answered with an earlier result", fields);
  Finish(probe, probe.progress.Adopt(stored->report, now));
  return true;
}

bool ProbeDispatcher::TryJoin(Probe& probe, const TestKey& key) {
  if (!shared_tests_.TryJoin(probe.id, key)) return false;
  Log(LogLevel::kDebug, "probe joined the test of another request", probe.progress.LogFields());
  probe.progress.BeginJoin(Clock::now());
  probe.timer.Start(TimeLeft(probe.progress.deadline()));
  Enter(probe, ProbeState::kJoined);
  return true;
}

void ProbeDispatcher::OnJoinedTestEnded(Probe& probe, const ProbeOutcome& outcome,
                                        const std::optional<StoredResult>& result) {
  const TimePoint now = Clock::now();
  if (result && (draining_ || probe.progress.Accepts(*result, now))) {
    return Finish(probe, probe.progress.Adopt(result->report, now));
  }
  probe.progress.EndWait(now);
  const bool lacks_worker = !outcome && outcome.error().reason == RefusalReason::kNoWorker;
  if (draining_ || lacks_worker) {
    GiveUp(probe, draining_ ? RefusalReason::kDraining : RefusalReason::kNoWorker);
  } else if (now > probe.progress.last_start()) {
    FinishWithFailure(probe, {FailureReason::kDeadline, kJoinedTooLong});
  } else {
    Begin(probe);
  }
}

void ProbeDispatcher::Enqueue(Probe& probe) {
  ProbeProgress& progress = probe.progress;
  progress.BeginWait(Clock::now(), options_.lock_scope, options_.lock_timeout);
  const nanoseconds wait = TimeLeft(progress.queue_deadline());
  probe.timer.Start(pool_.AnyAlive() ? wait : std::min<nanoseconds>(wait, kWorkerReplacementTime));
  queue_.Push(probe.id, progress.lock_key());
  Enter(probe, ProbeState::kQueued);
  if (queue_.IsRunnable(probe.id)) Dispatch();
}

void ProbeDispatcher::LeaveQueue(Probe& probe) {
  if (queue_.Remove(probe.id)) probe.progress.EndWait(Clock::now());
}

void ProbeDispatcher::Dispatch() {
  while (pool_.CountIn(WorkerState::kIdle) > 0) {
    const auto id = queue_.PopNext();
    if (!id) return;
    Run(probes_.At(*id));
  }
}

void ProbeDispatcher::Run(Probe& probe) {
  ProbeProgress& progress = probe.progress;
  const TimePoint now = Clock::now();
  const Job job = progress.BuildJob(probe.id, now, pauses_.EarliestStart(progress.HashServer()));
  if (!pool_.TryRun(job, WorkerKillTime(progress.deadline()))) {
    // The worker died while idle: the probe returns to its place.
    queue_.Finish(progress.lock_key());
    queue_.Push(probe.id, progress.lock_key());
    return;
  }
  progress.EndWait(now);
  probe.timer.Start(TimeLeft(progress.deadline()));
  Enter(probe, ProbeState::kHandedOver);
}

void ProbeDispatcher::OnTimer(Id id) {
  Probe& probe = probes_.At(id);
  switch (probe.state) {
    case ProbeState::kResolving:
      FinishWithFailure(probe, {FailureReason::kResolve, "no answer from the resolver in time"});
      return;
    case ProbeState::kQueued:
      OnQueueTimeout(probe);
      return;
    case ProbeState::kBackoff:
      Enqueue(probe);
      return;
    case ProbeState::kJoined:
      FinishWithFailure(probe, {FailureReason::kDeadline, kJoinedTooLong});
      return;
    case ProbeState::kHandedOver:
    case ProbeState::kTesting:
      OnDeadline(probe);
      return;
  }
}

void ProbeDispatcher::OnQueueTimeout(Probe& probe) {
  if (!pool_.AnyAlive()) {
    LeaveQueue(probe);
    GiveUp(probe, RefusalReason::kNoWorker);
    return;
  }
  // A replacement worker arrived in time, but runs an earlier probe.
  if (const nanoseconds left = TimeLeft(probe.progress.queue_deadline());
      left > nanoseconds::zero()) {
    probe.timer.Start(left);
    return;
  }
  const bool needs_only_worker = queue_.IsRunnable(probe.id);
  LeaveQueue(probe);
  GiveUp(probe, needs_only_worker ? RefusalReason::kWorkerTimeout : RefusalReason::kLockTimeout);
}

// The worker hangs. The probe's lock key stays busy until the pool has killed the worker.
void ProbeDispatcher::OnDeadline(Probe& probe) {
  const auto& earlier = probe.progress.last_failure();
  if (probe.state == ProbeState::kHandedOver && earlier) {
    FinishWithFailure(probe, *earlier);
  } else {
    FinishWithFailure(
        probe, {FailureReason::kWorkerLost, "the worker did not answer before the deadline"});
  }
}

void ProbeDispatcher::OnJobEvent(const JobEvent& event) {
  std::visit([this](const auto& job_event) { On(probes_.At(job_event.job_id), job_event); }, event);
}

void ProbeDispatcher::On(Probe& probe, const wire::Started& started) {
  probe.progress.OnStarted(started, Clock::now());
  if (started.recovered_lock) hooks_.on_lock_recovery();
  Enter(probe, ProbeState::kTesting);
}

void ProbeDispatcher::On(Probe& probe, const wire::NotStarted& not_started) {
  using Reason = wire::NotStarted::Reason;
  LeaveWorker(probe);
  probe.progress.OnNotStarted(Clock::now());
  if (!IsWanted(probe)) {
    Forget(probe.id);
  } else if (not_started.reason == Reason::kLockTimeout) {
    GiveUp(probe, RefusalReason::kLockTimeout);
  } else if (not_started.reason == Reason::kLockGone) {
    OnLockGone(probe);
  } else if (not_started.reason == Reason::kNoTime) {
    RetryOrFail(probe, {FailureReason::kDeadline, "less than one second was left for the test"});
  } else if (draining_) {
    GiveUp(probe, RefusalReason::kDraining);
  } else {
    RetryOrFail(probe, {FailureReason::kCancelled, "the wait for the lock was cancelled"});
  }
  Dispatch();
}

void ProbeDispatcher::On(Probe& probe, const wire::Finished& finished) {
  LeaveWorker(probe);
  pauses_.OnTestEnded(probe.progress.HashServer(), Clock::now());
  probe.progress.OnFinished(finished, Clock::now());
  if (!IsWanted(probe)) {
    Forget(probe.id);
  } else if (finished.result) {
    Log(LogLevel::kDebug, "probe succeeded", probe.progress.LogFields());
    Finish(probe, probe.progress.BuildReport(finished.result, Clock::now()));
  } else {
    RetryOrFail(probe, finished.result.error());
  }
  Dispatch();
}

// The lock's files were deleted, and the exporter has tried to create them again.
void ProbeDispatcher::OnLockGone(Probe& probe) {
  if (draining_) {
    GiveUp(probe, RefusalReason::kDraining);
  } else if (TimeLeft(probe.progress.queue_deadline()) == nanoseconds::zero()) {
    GiveUp(probe, RefusalReason::kLockTimeout);
  } else {
    Enqueue(probe);
  }
}

void ProbeDispatcher::RetryOrFail(Probe& probe, TestFailure fallback) {
  const std::uint32_t retries = probe.progress.request().module->retries;
  if (probe.cancelled_by_drain && fallback.reason == FailureReason::kCancelled)
    return Refuse(probe, {RefusalReason::kDraining, kDrainingText});
  const auto pause =
      draining_ ? std::nullopt : probe.progress.PlanRetry(Clock::now(), retries, random_);
  if (!pause) {
    FinishWithFailure(probe, probe.progress.last_failure().value_or(std::move(fallback)));
  } else if (*pause == nanoseconds::zero()) {
    Enqueue(probe);
  } else {
    probe.timer.Start(*pause);
    Enter(probe, ProbeState::kBackoff);
  }
}

void ProbeDispatcher::Drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  for (const Id id : probes_.Ids()) {
    Probe* probe = probes_.Find(id);
    // One that has joined a test is answered when that test ends, perhaps here.
    if (probe == nullptr || probe->state == ProbeState::kJoined) continue;
    if (!probe->HasWorker()) {
      LeaveQueue(*probe);
      GiveUp(*probe, RefusalReason::kDraining);
    } else if (probe->state == ProbeState::kHandedOver && probe->progress.lock_key() != kNoLock) {
      // With a lock, the worker may be about to report the start: the job's next event decides.
      probe->cancelled_by_drain = true;
      pool_.Cancel(id, WorkerKillTime(Clock::now()));
    }
  }
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void ProbeDispatcher::CancelRunning() {
  for (const Id id : probes_.Ids()) {
    if (probes_.At(id).HasWorker()) pool_.Cancel(id, WorkerKillTime(Clock::now()));
  }
}

// The job has ended: frees its lock key for the next probe. The caller answers or retries.
void ProbeDispatcher::LeaveWorker(Probe& probe) {
  queue_.Finish(probe.progress.lock_key());
  Enter(probe, ProbeState::kBackoff);
}

void ProbeDispatcher::FinishWithFailure(Probe& probe, const TestFailure& failure) {
  std::vector<LogField> fields = probe.progress.LogFields();
  fields.emplace_back("detail", failure.detail);
  failures_.Add(Name(failure.reason), fields);
  Finish(probe, probe.progress.BuildReport(tl::unexpected(failure), Clock::now()));
}

void ProbeDispatcher::GiveUp(Probe& probe, RefusalReason reason) {
  if (reason == RefusalReason::kLockTimeout) hooks_.on_lock_timeout();
  if (const auto& failure = probe.progress.last_failure(); failure) {
    FinishWithFailure(probe, *failure);
  } else {
    Refuse(probe, {reason, UnavailableText(reason, probe.progress, options_, pool_)});
  }
}

void ProbeDispatcher::Refuse(Probe& probe, Refusal refusal) {
  refusal.target = probe.progress.request().target;
  refusal.port = probe.progress.port();
  Finish(probe, tl::unexpected(std::move(refusal)));
}

void ProbeDispatcher::Finish(Probe& probe, const ProbeOutcome& outcome) {
  const bool needed_lock = probe.progress.lock_key() != kNoLock &&
                           (outcome || outcome.error().reason == RefusalReason::kLockTimeout);
  const nanoseconds lock_wait = probe.progress.lock_wait();
  const Done done = std::exchange(probe.done, nullptr);
  const std::vector<Id> joiners = shared_tests_.Close(probe.id);
  std::optional<StoredResult> result;
  if (outcome && probe.progress.WasTried()) result = probe.progress.BuildResult(*outcome);
  // While a worker has the job the probe stays: its lock is occupied until the job's last event.
  if (!probe.HasWorker()) Forget(probe.id);
  if (result) results_.Add(*result);
  if (done) done(outcome);
  if (needed_lock) hooks_.on_lock_wait(lock_wait);
  for (const Id joiner : joiners) {
    if (Probe* joined = probes_.Find(joiner)) OnJoinedTestEnded(*joined, outcome, result);
  }
}

void ProbeDispatcher::Forget(Id id) {
  lookups_.Abandon(id);
  probes_.Remove(id);
  hooks_.on_change();
  if (const auto owner = shared_tests_.Leave(id); owner && !IsWanted(probes_.At(*owner))) {
    Abandon(probes_.At(*owner));
  }
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace iperf3_exporter
