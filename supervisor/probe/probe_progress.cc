#include "supervisor/probe/probe_progress.h"

#include <algorithm>
#include <utility>

#include "common/go_duration.h"
#include "common/text.h"
#include "supervisor/probe/probe_timing.h"

namespace iperf3_exporter {
namespace {

using std::chrono::nanoseconds;

bool MayTryNextAddress(FailureReason reason) {
  return reason == FailureReason::kConnectionRefused || reason == FailureReason::kUnreachable ||
         reason == FailureReason::kConnectTimeout || reason == FailureReason::kNoResponse;
}

// A pause before a retry is shortened so that the last test still fits, but not below half of the
// first pause. If less time is left, there is no retry.
constexpr std::chrono::milliseconds kMinRetryDelay = kFirstRetryDelay / 2;
// From the end of such a pause to the last start: to acquire a free lock and hand the job over.
constexpr std::chrono::milliseconds kLastRetryMargin{20};

// Only what matters: an address may be written in several ways, and the case of a name is ignored.
Host Canonical(Host host) {
  if (host.address) host.text.clear();
  if (host.kind == HostKind::kName) host.text = ToLower(host.text);
  return host;
}

std::uint64_t Bound(std::uint64_t bytes, const std::optional<double>& measured_bytes,
                    double max_bytes) {
  const double min_bytes = std::min(measured_bytes.value_or(0), max_bytes);
  return static_cast<std::uint64_t>(std::clamp(static_cast<double>(bytes), min_bytes, max_bytes));
}

// What a worker says, within what can be true of a test that took `elapsed`.
Traffic Bound(const Traffic& traffic, const TestResult& result, nanoseconds elapsed) {
  using Seconds = std::chrono::duration<double>;
  const double max_bytes =
      std::max(1.0, Seconds(elapsed).count()) * static_cast<double>(kMaxBytesPerSecond);
  const auto& upload = result ? result->upload : std::nullopt;
  const auto& download = result ? result->download : std::nullopt;
  return {
      Bound(traffic.upload_bytes, upload ? upload->sent_bytes : std::nullopt, max_bytes),
      Bound(traffic.download_bytes, download ? download->received_bytes : std::nullopt, max_bytes)};
}

}  // namespace

ProbeProgress::ProbeProgress(ProbeRequest request, TimePoint received, Deadline deadline)
    : request_(std::move(request)),
      received_(received),
      deadline_(deadline),
      last_start_(LastStart(request_.test, deadline)) {}

LockKey ProbeProgress::LockKeyFor(LockScope scope) const {
  const AddressPair& pair = candidates_[next_candidate_];
  switch (scope) {
    case LockScope::kHost:
      return MakeLockKey("host");
    case LockScope::kBind: {
      const auto source = FindSource(pair, port(), request_.test.bind_device);
      return MakeLockKey("bind " + (source ? ToString(Unmapped(*source)) : "unknown"));
    }
    case LockScope::kTarget:
      return MakeLockKey("target " + ToString(Unmapped(pair.destination)) + " " +
                         std::to_string(port()));
    case LockScope::kNone:
      break;
  }
  return kNoLock;
}

void ProbeProgress::BeginWait(TimePoint now, LockScope scope, nanoseconds lock_timeout) {
  lock_key_ = LockKeyFor(scope);
  queued_ = now;
  const nanoseconds budget = std::max(nanoseconds::zero(), lock_timeout - lock_wait_);
  queue_deadline_ = std::min(last_start_, now + budget);
}

std::string ProbeProgress::LockTimeoutText(nanoseconds lock_timeout) const {
  const std::string text = "the lock was not acquired in time";
  if (queue_deadline_ < last_start_) {
    return text + " (--lock.timeout=" + FormatGoDuration(lock_timeout) + ")";
  }
  return text + ": the test needs at least " + FormatGoDuration(deadline_ - last_start_) +
         " before the probe's deadline (scrape timeout or --probe.default-timeout, "
         "--iperf3.timeout, timeout of the module)";
}

Job ProbeProgress::BuildJob(std::uint64_t id, TimePoint now, Deadline not_before) {
  handed_over_ = now;
  started_ = false;
  const AddressPair& pair = candidates_[next_candidate_];
  Job job{.id = id,
          .target = request_.target,
          .address = pair.destination,
          .port = port(),
          .test = request_.test,
          .connect_timeout = ConnectTimeout(now, last_start_, candidates_.size() - next_candidate_),
          .lock_key = lock_key_,
          .times = BuildJobTimes(request_.test, deadline_, queue_deadline_)};
  if (const auto& auth = request_.module->auth) job.credentials = auth->credentials;
  job.times.not_before = not_before;
  job.test.bind_address = pair.source;
  return job;
}

void ProbeProgress::OnStarted(const wire::Started& started, TimePoint now) {
  started_ = true;
  began_ = now;
  ++attempts_;
  period_seconds_ = started.period_seconds;
  // Reported by a worker and deducted from the probe's budget: no more than can be true.
  lock_wait_ += std::clamp(started.lock_wait, nanoseconds::zero(), nanoseconds(now - handed_over_));
}

void ProbeProgress::OnNotStarted(TimePoint now) { lock_wait_ += now - handed_over_; }

void ProbeProgress::OnFinished(const wire::Finished& finished, TimePoint now) {
  const TestResult& result = finished.result;
  if (!started_) {
    // iperf3 could not be executed, or the worker was lost, perhaps just after iperf3 had started.
    ++attempts_;
    began_ = handed_over_;
    period_seconds_ = 0;
  }
  if (!result) last_failure_ = result.error();
  if (!finished.traffic) {
    traffic_.reset();
  } else if (traffic_) {
    *traffic_ += Bound(*finished.traffic, result, now - handed_over_);
  }
}

std::optional<nanoseconds> ProbeProgress::PlanRetry(TimePoint now, std::uint32_t retries,
                                                    std::minstd_rand& random) {
  if (!last_failure_ || now >= last_start_) return std::nullopt;
  if (request_.has_budget && traffic_ != Traffic{}) return std::nullopt;
  const FailureReason reason = last_failure_->reason;
  const bool is_busy = reason == FailureReason::kServerBusy;
  const bool is_refused = reason == FailureReason::kConnectionRefused;
  if ((is_busy || is_refused) && next_port_ + 1 < request_.ports.size()) {
    ++next_port_;
    return nanoseconds::zero();
  }
  if (MayTryNextAddress(reason) && next_candidate_ + 1 < candidates_.size()) {
    ++next_candidate_;
    next_port_ = 0;
    return nanoseconds::zero();
  }
  const bool has_one_port = request_.ports.size() == 1;
  if (is_busy && has_one_port && !std::exchange(first_busy_retry_done_, true)) {
    const nanoseconds delay = FirstBusyRetryDelay(random);
    if (now + delay < last_start_) return delay;
  }
  if (!is_busy && !is_refused) return std::nullopt;
  if (is_busy ? retries == 0 : retries_ >= retries) return std::nullopt;
  std::uint32_t& done = is_busy ? busy_retries_ : retries_;
  const nanoseconds delay =
      std::min<nanoseconds>(RetryDelay(done, random), last_start_ - now - kLastRetryMargin);
  if (delay < kMinRetryDelay) return std::nullopt;
  ++done;
  next_candidate_ = 0;
  next_port_ = 0;
  return delay;
}

std::vector<LogField> ProbeProgress::LogFields() const {
  std::vector<LogField> fields = {{"target", request_.target}, {"port", port()}};
  const std::string& module = request_.module->name;
  if (!module.empty()) fields.emplace_back("module", module);
  if (!request_.own_test.empty()) fields.emplace_back("test", request_.own_test);
  return fields;
}

ProbeReport ProbeProgress::BuildReport(TestResult result, TimePoint now) const {
  ProbeReport report{.target = request_.target,
                     .port = port(),
                     .test = request_.test,
                     .requested_period_seconds = request_.test.period_seconds,
                     .attempts = attempts_,
                     .duration = now - received_,
                     .lock_wait = lock_wait_,
                     .traffic = traffic_,
                     .result = std::move(result)};
  report.test.period_seconds = period_seconds_;
  return report;
}

TestKey ProbeProgress::BuildKey() const {
  TestKey key{.target = Canonical(request_.host),
              .ports = request_.ports,
              .test = request_.test,
              .bind = request_.bind ? std::optional(Canonical(*request_.bind)) : std::nullopt,
              .ip_version = request_.ip_version,
              .module = {request_.module},
              .addresses = candidates_};
  std::ranges::sort(key.ports);
  std::ranges::sort(key.addresses);
  return key;
}

StoredResult ProbeProgress::BuildResult(ProbeReport report) const {
  return {.key = BuildKey(),
          .report = std::move(report),
          .began = began_,
          .longest_period_seconds =
              std::max(period_seconds_, LongestPeriod(request_.test, deadline_, began_))};
}

bool ProbeProgress::Accepts(const StoredResult& result, TimePoint now) const {
  const ProbeReport& report = result.report;
  const std::uint32_t period = report.test.period_seconds;
  const bool was_cut = period != 0 && period < report.requested_period_seconds;
  const bool was_ended = !report.result && report.result.error().reason == FailureReason::kDeadline;
  return (!was_cut && !was_ended) ||
         LongestPeriod(request_.test, deadline_, now) <= result.longest_period_seconds;
}

ProbeReport ProbeProgress::Adopt(ProbeReport report, TimePoint now) const {
  report.target = request_.target;
  report.duration = now - received_;
  return report;
}

}  // namespace iperf3_exporter
