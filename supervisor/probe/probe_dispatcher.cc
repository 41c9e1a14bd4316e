#include "supervisor/probe/probe_dispatcher.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "common/lock/lock_objects.h"
#include "common/logging.h"
#include "supervisor/probe/resolver.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Says no more than that: not which rule, nor what the name resolved to.
constexpr char kTargetForbidden[] = "the target is not allowed";

// Names are resolved by as many threads at most; one that hangs keeps its thread, so this
// is how many hanging names it takes until a further name waits.
constexpr std::size_t kMaxResolverThreads = 64;

// Connecting takes no longer than this, so that a silent host does not keep the lock for
// a whole scrape: the first SYN and two retransmissions (after 1 and 3 s) fit.
constexpr milliseconds kMaxConnectTimeout{5000};
constexpr milliseconds kMinConnectTimeout{100};

// Wait before a retry: doubled each time, with jitter so that exporters that met at a busy
// server do not meet again.
constexpr milliseconds kFirstRetryDelay{200};

// The least that a test takes.
nanoseconds ShortestTest(const TestOptions& test) {
  return seconds(1) + seconds(test.omit_seconds) + kTestOverhead;
}

std::string BindKey(const TestOptions& test) {
  if (!test.bind_device.empty()) return "bind:" + test.bind_device;
  return "bind:" + (test.bind_address ? ToString(*test.bind_address) : std::string());
}

bool MayTryNextAddress(FailureReason reason) {
  return reason == FailureReason::kConnectionRefused || reason == FailureReason::kUnreachable ||
         reason == FailureReason::kConnectTimeout;
}

bool MayRetry(FailureReason reason) {
  return reason == FailureReason::kServerBusy || reason == FailureReason::kConnectionRefused;
}

nanoseconds RetryDelay(std::uint32_t retries_done) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const nanoseconds base = kFirstRetryDelay * (1U << std::min(retries_done, 5U));
  std::uniform_real_distribution<double> jitter(0.5, 1.5);
  return nanoseconds(
      static_cast<nanoseconds::rep>(static_cast<double>(base.count()) * jitter(random)));
}

}  // namespace

struct ProbeDispatcher::Probe {
  enum class State { kResolving, kQueued, kRunning, kPausing };

  Probe(event_base* base, std::function<void()> on_timer) : timer(base, std::move(on_timer)) {}

  Id id = 0;
  ProbeRequest request;
  Deadline deadline;
  Done done;  // null once the scraper has gone
  State state = State::kResolving;
  Deadline started;
  Deadline queued;
  Deadline leave_queue;  // when waiting any longer is of no use
  Timer timer;           // of the state: resolver's deadline, leave_queue, or the retry's pause
  TaskPool::Task resolving;
  std::vector<IpAddress> addresses;  // allowed ones, in the order to be tried
  std::size_t next_address = 0;
  std::uint32_t slot = kNoLock;
  std::uint32_t attempts = 0;
  std::uint32_t retries = 0;
  nanoseconds lock_wait{0};
};

ProbeDispatcher::ProbeDispatcher(event_base* base, const Options& options, WorkerPool& pool,
                                 ExporterMetrics& metrics, Hooks hooks)
    : base_(base),
      options_(options),
      pool_(pool),
      metrics_(metrics),
      hooks_(std::move(hooks)),
      resolvers_(base, TaskPool::Options{.max_threads = kMaxResolverThreads}) {}

ProbeDispatcher::~ProbeDispatcher() = default;

void ProbeDispatcher::Start(Id id, ProbeRequest request, Deadline deadline, Done done) {
  auto owned = std::make_unique<Probe>(base_, [this, id] { OnTimer(id); });
  Probe& probe = *owned;
  probe.id = id;
  probe.request = std::move(request);
  probe.deadline = deadline;
  probe.done = std::move(done);
  probe.started = Clock::now();
  probes_.emplace(id, std::move(owned));
  const ProbeRequest& asked = probe.request;
  if (draining_) {
    AnswerUnavailable(probe, ProbeResult::kDraining);
  } else if (!options_.target_policy.AllowsPort(asked.port)) {
    AnswerForbidden(probe, "the port is not allowed");
  } else if (!options_.target_policy.MayAllow(asked.host)) {
    AnswerForbidden(probe, kTargetForbidden);
  } else if (pool_.CountIn(WorkerState::kDown) == options_.worker_count) {
    AnswerUnavailable(probe, ProbeResult::kNoWorker);
  } else if (TimeLeft(deadline) < ShortestTest(asked.test)) {
    AnswerFailed(probe, FailureReason::kDeadline, "no second of test fits before the deadline");
  } else {
    Resolve(probe);
  }
}

void ProbeDispatcher::Cancel(Id id) {
  const auto found = probes_.find(id);
  if (found == probes_.end()) return;
  Probe& probe = *found->second;
  probe.done = nullptr;
  metrics_.OnProbe(ProbeResult::kCancelled, Clock::now() - probe.started);
  if (probe.state == Probe::State::kRunning) {
    pool_.Cancel(id);  // OnResult forgets it
    return;
  }
  queue_.Remove(id);
  Forget(id);
}

void ProbeDispatcher::Resolve(Probe& probe) {
  const ProbeRequest& request = probe.request;
  const auto target = NumericHost(request.host);
  const auto& bind = request.test.bind_address;
  if (target && (bind || request.bind.empty())) {
    OnResolved(probe.id, Resolved{{*target}, {}});
    return;
  }
  struct Work {
    std::string host;
    std::string bind;
    IpVersion version;
    Result<Resolved> result;
  };
  auto work = std::make_shared<Work>(
      Work{request.host, bind ? std::string() : request.bind, request.ip_version, Resolved{}});
  auto task = resolvers_.Submit(
      [work] { work->result = ResolveBoth(work->host, work->bind, work->version); },
      [this, id = probe.id, work] { OnResolved(id, work->result); });
  if (!task) {
    AnswerFailed(probe, FailureReason::kResolve, task.error().message);
    return;
  }
  probe.resolving = std::move(*task);
  probe.timer.Start(TimeLeft(probe.deadline));
}

void ProbeDispatcher::OnResolved(Id id, const Result<Resolved>& resolved) {
  Probe& probe = *probes_.at(id);
  if (!resolved) {
    AnswerFailed(probe, FailureReason::kResolve, resolved.error().message);
    return;
  }
  TestOptions& test = probe.request.test;
  if (!resolved->bind.empty()) test.bind_address = resolved->bind.front();
  bool any_allowed = false;
  for (const IpAddress& address : resolved->target) {
    if (!options_.target_policy.AllowsTarget(probe.request.host, address)) continue;
    any_allowed = true;
    // A socket bound to one family reaches only that family.
    if (test.bind_address && test.bind_address->is_v6 != address.is_v6) continue;
    if (!Matches(probe.request.ip_version, address)) continue;
    probe.addresses.push_back(address);
  }
  if (!any_allowed) {
    AnswerForbidden(probe, kTargetForbidden);
  } else if (probe.addresses.empty()) {
    AnswerFailed(probe, FailureReason::kUnreachable,
                 "the target has no address of the family asked for");
  } else {
    probe.slot = SlotOf(probe);
    probe.leave_queue =
        std::min(probe.deadline - ShortestTest(test), Clock::now() + options_.lock_timeout);
    Enqueue(probe);
  }
}

std::uint32_t ProbeDispatcher::SlotOf(const Probe& probe) const {
  const TestOptions& test = probe.request.test;
  switch (options_.lock_scope) {
    case LockScope::kHost:
      return 0;
    case LockScope::kBind:
      return SlotForKey(BindKey(test), kKeyedLockSlots);
    case LockScope::kTarget:
      return SlotForKey(
          "target:" + ToString(probe.addresses.front()) + " " + std::to_string(probe.request.port),
          kKeyedLockSlots);
    case LockScope::kNone:
      break;
  }
  return kNoLock;
}

void ProbeDispatcher::Enqueue(Probe& probe) {
  const Id id = probe.id;
  probe.state = Probe::State::kQueued;
  probe.queued = Clock::now();
  probe.timer.Start(TimeLeft(probe.leave_queue));
  queue_.Push(id, probe.slot);
  Dispatch();
  // Only who would have to wait can be one too many.
  if (queue_.size() > options_.max_queued && queue_.Remove(id)) {
    AnswerUnavailable(probe, ProbeResult::kQueueFull);
  }
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
      AnswerFailed(probe, FailureReason::kResolve, "no answer from the resolver in time");
      return;
    case Probe::State::kQueued:
      queue_.Remove(id);
      metrics_.OnLockTimeout();
      AnswerUnavailable(probe, ProbeResult::kLockTimeout);
      return;
    case Probe::State::kPausing:
      Enqueue(probe);
      return;
    case Probe::State::kRunning:
      return;  // the pool watches it
  }
}

Job ProbeDispatcher::BuildJob(const Probe& probe) const {
  Job job;
  job.id = probe.id;
  job.target = probe.request.target;
  job.address = probe.addresses[probe.next_address];
  job.port = probe.request.port;
  job.test = probe.request.test;
  job.lock_slot = probe.slot;
  job.deadline = probe.deadline;
  job.lock_deadline = probe.leave_queue;
  const auto addresses_left = static_cast<int>(probe.addresses.size() - probe.next_address);
  const nanoseconds spare = TimeLeft(probe.deadline) - ShortestTest(job.test);
  job.connect_timeout = std::clamp(std::chrono::duration_cast<milliseconds>(spare / addresses_left),
                                   kMinConnectTimeout, kMaxConnectTimeout);
  return job;
}

void ProbeDispatcher::Run(Probe& probe) {
  if (!pool_.TryRun(BuildJob(probe),
                    [this, id = probe.id](const JobResult& result) { OnResult(id, result); })) {
    // The worker that was idle had died: back to its place.
    queue_.Finish(probe.slot);
    queue_.Push(probe.id, probe.slot);
    return;
  }
  probe.timer.Stop();
  probe.state = Probe::State::kRunning;
  probe.lock_wait += Clock::now() - probe.queued;
  ++probe.attempts;
  running_.insert(probe.id);
}

void ProbeDispatcher::OnResult(Id id, const JobResult& result) {
  Probe& probe = *probes_.at(id);
  running_.erase(id);
  queue_.Finish(probe.slot);
  probe.lock_wait += result.lock_wait;
  if (result.recovered_lock) metrics_.OnLockRecovery();
  metrics_.OnImplausibleValues(result.measurement.implausible_values);
  if (probe.done == nullptr) {
    Forget(id);
  } else if (result.outcome == JobOutcome::kLockTimeout) {
    metrics_.OnLockTimeout();
    AnswerUnavailable(probe, ProbeResult::kLockTimeout);
  } else if (result.outcome == JobOutcome::kLockGone) {
    --probe.attempts;
    hooks_.renew_lock();
    if (draining_) {
      AnswerUnavailable(probe, ProbeResult::kDraining);
    } else {
      Enqueue(probe);
    }
  } else if (result.outcome == JobOutcome::kSucceeded || !TryAgain(probe, result.reason)) {
    AnswerTested(probe, result);
  }
  Dispatch();
}

bool ProbeDispatcher::TryAgain(Probe& probe, FailureReason reason) {
  if (draining_ || TimeLeft(probe.leave_queue) == nanoseconds::zero()) return false;
  if (MayTryNextAddress(reason) && probe.next_address + 1 < probe.addresses.size()) {
    ++probe.next_address;
    Enqueue(probe);
    return true;
  }
  if (!MayRetry(reason) || probe.retries >= options_.probe_retries) return false;
  const nanoseconds delay = RetryDelay(probe.retries);
  if (TimeLeft(probe.leave_queue) <= delay) return false;
  ++probe.retries;
  probe.next_address = 0;
  probe.state = Probe::State::kPausing;
  probe.timer.Start(delay);
  return true;
}

void ProbeDispatcher::Drain(std::function<void()> drained) {
  draining_ = true;
  drained_ = std::move(drained);
  std::vector<Id> waiting;
  for (const auto& [id, probe] : probes_) {
    if (probe->state != Probe::State::kRunning) waiting.push_back(id);
  }
  for (const Id id : waiting) {
    queue_.Remove(id);
    AnswerUnavailable(*probes_.at(id), ProbeResult::kDraining);
  }
  if (probes_.empty() && drained_) std::exchange(drained_, nullptr)();
}

void ProbeDispatcher::CancelRunning() {
  for (const auto& [id, probe] : probes_) {
    if (probe->state == Probe::State::kRunning) pool_.Cancel(id);
  }
}

bool ProbeDispatcher::IsAtLock(const Probe& probe) const {
  return probe.state == Probe::State::kRunning && probe.slot != kNoLock &&
         !hooks_.holds_lock(probe.slot);
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
  for (const auto& [id, slot] : queue_.waiting()) {
    if (queued++ == most) break;
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.resize(std::min(ids.size(), most));
  std::vector<WaitingProbe> list;
  list.reserve(ids.size());
  const auto now = Clock::now();
  for (const Id id : ids) {
    const Probe& probe = *probes_.at(id);
    list.push_back({probe.request.target, probe.request.port, now - probe.queued,
                    TimeLeft(probe.leave_queue)});
  }
  return list;
}

ProbeOutcome ProbeDispatcher::OutcomeOf(const Probe& probe) const {
  const ProbeRequest& request = probe.request;
  ProbeOutcome outcome;
  outcome.target = request.target;
  outcome.port = request.port;
  outcome.protocol = request.test.protocol;
  outcome.direction = request.test.direction;
  outcome.streams = request.test.parallel;
  outcome.duration = Clock::now() - probe.started;
  outcome.lock_wait = probe.lock_wait;
  outcome.attempts = probe.attempts;
  return outcome;
}

void ProbeDispatcher::AnswerTested(Probe& probe, const JobResult& result) {
  metrics_.OnLockWait(probe.lock_wait);
  if (result.outcome != JobOutcome::kSucceeded) {
    AnswerFailed(probe, result.reason, result.error_text, result.period_seconds);
    return;
  }
  ProbeAnswer answer{.kind = ProbeAnswer::Kind::kTested, .outcome = OutcomeOf(probe)};
  answer.outcome.measurement = result.measurement;
  answer.outcome.period_seconds = result.period_seconds;
  Log(LogLevel::kDebug, "probe succeeded",
      {{"target", probe.request.target}, {"port", probe.request.port}});
  Finish(probe, answer, ProbeResult::kSuccess);
}

void ProbeDispatcher::AnswerFailed(Probe& probe, FailureReason reason, const std::string& text,
                                   std::uint32_t period_seconds) {
  Log(LogLevel::kWarn, "probe failed",
      {{"target", probe.request.target},
       {"port", probe.request.port},
       {"reason", Name(reason)},
       {"detail", text}});
  metrics_.OnProbeFailure(reason);
  ProbeAnswer answer{.kind = ProbeAnswer::Kind::kTested, .outcome = OutcomeOf(probe)};
  answer.outcome.failure = reason;
  answer.outcome.period_seconds = period_seconds;
  Finish(probe, answer, ProbeResult::kFailure);
}

void ProbeDispatcher::AnswerForbidden(Probe& probe, const char* reason) {
  Finish(probe, {.kind = ProbeAnswer::Kind::kForbidden, .reason = reason}, ProbeResult::kForbidden);
}

void ProbeDispatcher::AnswerUnavailable(Probe& probe, ProbeResult result) {
  ProbeAnswer answer{.kind = ProbeAnswer::Kind::kUnavailable};
  switch (result) {
    case ProbeResult::kQueueFull:
      answer.reason = "the queue is full: " + std::to_string(options_.max_queued) +
                      " probes are waiting (--probe.max-queued)";
      break;
    case ProbeResult::kLockTimeout:
      answer.reason = "the lock was not had in time: another test holds it";
      break;
    case ProbeResult::kDraining:
      answer.reason = "the exporter is shutting down";
      break;
    default:
      answer.reason =
          "no worker is alive" + (pool_.latest_error().empty() ? "" : ": " + pool_.latest_error());
      break;
  }
  Finish(probe, answer, result);
}

void ProbeDispatcher::Finish(Probe& probe, const ProbeAnswer& answer, ProbeResult result) {
  metrics_.OnProbe(result, Clock::now() - probe.started);
  const Done done = std::exchange(probe.done, nullptr);
  Forget(probe.id);
  if (done) done(answer);
}

void ProbeDispatcher::Forget(Id id) {
  probes_.erase(id);
  if (probes_.empty() && draining_ && drained_) std::exchange(drained_, nullptr)();
}

}  // namespace iperf3_exporter
