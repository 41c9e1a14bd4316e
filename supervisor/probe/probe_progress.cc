#include "supervisor/probe/probe_progress.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "supervisor/probe/retry_delay.h"
#include "supervisor/probe/route.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Connecting takes no longer than this, so that a silent host does not keep the lock for
// a whole scrape: the first SYN and two retransmissions (after 1 and 3 s) fit.
constexpr milliseconds kMaxConnectTimeout{5000};
constexpr milliseconds kMinConnectTimeout{100};

bool MayTryNextAddress(FailureReason reason) {
  return reason == FailureReason::kConnectionRefused || reason == FailureReason::kUnreachable ||
         reason == FailureReason::kConnectTimeout;
}

bool MayRetry(FailureReason reason) {
  return reason == FailureReason::kServerBusy || reason == FailureReason::kConnectionRefused;
}

}  // namespace

std::optional<std::vector<TargetPath>> AllowedPaths(const ProbeRequest& request,
                                                    const Resolved& resolved,
                                                    const TargetPolicy& policy) {
  Resolved allowed;
  std::copy_if(
      resolved.target.begin(), resolved.target.end(), std::back_inserter(allowed.target),
      [&](const IpAddress& address) { return policy.AllowsTarget(request.host, address); });
  if (allowed.target.empty()) return std::nullopt;
  allowed.bind = resolved.bind;
  if (request.bind && request.bind->address) allowed.bind = {*request.bind->address};
  return BuildPaths(allowed, request.ip_version);
}

bool WasTried(const JobResult& result) {
  if (result.outcome == JobOutcome::kSucceeded) return true;
  if (result.outcome != JobOutcome::kFailed) return false;
  return result.period_seconds != 0 || result.reason == FailureReason::kExec ||
         result.reason == FailureReason::kWorkerLost;
}

ProbeProgress::ProbeProgress(ProbeRequest request, Deadline received, Deadline deadline)
    : request_(std::move(request)), received_(received), deadline_(deadline) {}

Deadline ProbeProgress::last_start() const {
  return deadline_ - (seconds(1) + seconds(request_.test.omit_seconds) + kTestOverhead);
}

LockKey ProbeProgress::KeyIn(LockScope scope) const {
  const TargetPath& path = paths_[next_path_];
  switch (scope) {
    case LockScope::kHost:
      return MakeLockKey("host");
    case LockScope::kBind:
      return MakeLockKey("bind " + FindRoute(path, request_.port, request_.test.bind_device));
    case LockScope::kTarget:
      return MakeLockKey("target " + ToString(path.address) + " " + std::to_string(request_.port));
    case LockScope::kNone:
      break;
  }
  return kNoLock;
}

void ProbeProgress::BeginWait(Deadline now, LockScope scope, nanoseconds lock_timeout) {
  lock_key_ = KeyIn(scope);
  queued_ = now;
  const nanoseconds budget = std::max(nanoseconds::zero(), lock_timeout - lock_wait_);
  leave_queue_ = std::min(last_start(), now + budget);
}

Job ProbeProgress::BuildJob(std::uint64_t id, Deadline now) {
  handed_over_ = now;
  const TargetPath& path = paths_[next_path_];
  Job job;
  job.id = id;
  job.target = request_.target;
  job.address = path.address;
  job.port = request_.port;
  job.test = request_.test;
  job.test.bind_address = path.source;
  job.lock_key = lock_key_;
  job.deadline = deadline_;
  job.lock_deadline = leave_queue_;
  const auto paths_left = static_cast<int>(paths_.size() - next_path_);
  const nanoseconds spare = std::max(nanoseconds::zero(), nanoseconds(last_start() - now));
  job.connect_timeout = std::clamp(std::chrono::duration_cast<milliseconds>(spare / paths_left),
                                   kMinConnectTimeout, kMaxConnectTimeout);
  return job;
}

void ProbeProgress::EndJob(const JobResult& result, Deadline now) {
  // A worker says it, and it counts against the probe's budget: no more than can be true.
  lock_wait_ += std::clamp(result.lock_wait, nanoseconds::zero(), nanoseconds(now - handed_over_));
  if (!WasTried(result)) return;
  ++attempts_;
  if (result.outcome == JobOutcome::kFailed) {
    last_failure_ = TestFailure{result.reason, result.error_text, result.period_seconds};
  }
}

std::optional<nanoseconds> ProbeProgress::NextTry(Deadline now, std::uint32_t retries,
                                                  std::minstd_rand& random) {
  if (!last_failure_ || now >= last_start()) return std::nullopt;
  const FailureReason reason = last_failure_->reason;
  if (MayTryNextAddress(reason) && next_path_ + 1 < paths_.size()) {
    ++next_path_;
    return nanoseconds::zero();
  }
  if (!MayRetry(reason) || retries_ >= retries) return std::nullopt;
  const nanoseconds delay = RetryDelay(retries_, random);
  if (now + delay >= last_start()) return std::nullopt;
  ++retries_;
  next_path_ = 0;
  return delay;
}

ProbeOutcome ProbeProgress::Outcome(Deadline now) const {
  ProbeOutcome outcome;
  outcome.target = request_.target;
  outcome.port = request_.port;
  outcome.protocol = request_.test.protocol;
  outcome.direction = request_.test.direction;
  outcome.streams = request_.test.parallel;
  outcome.duration = now - received_;
  outcome.lock_wait = lock_wait_;
  outcome.attempts = attempts_;
  return outcome;
}

}  // namespace iperf3_exporter
