#include "worker/loop/job_runner.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "common/logging.h"
#include "common/text.h"
#include "worker/iperf3/iperf3_argv.h"
#include "worker/iperf3/run_evaluation.h"
#include "worker/iperf3/traffic_count.h"

namespace iperf3_exporter {
namespace {

using Reason = wire::NotStarted::Reason;

Deadline TerminateAt(const Job& job, std::uint32_t period_seconds, Deadline now) {
  const std::chrono::seconds test(job.test.omit_seconds + period_seconds);
  return std::min(job.times.terminate_at, now + test + job.times.max_overhead);
}

// The wait for the lock may have used up the time that the supervisor gave for connecting. iperf3
// must give up connecting before it is terminated: a terminated iperf3 is taken to have been
// connected (run_evaluation.cc).
std::chrono::milliseconds TimeToConnect(const Job& job, Deadline terminate_at, Deadline now) {
  const Deadline end = std::min(job.times.start_by, terminate_at - std::chrono::seconds(1));
  return std::chrono::duration_cast<std::chrono::milliseconds>(end - now);
}

std::chrono::milliseconds ConnectTimeout(const Job& job, std::chrono::milliseconds left) {
  return std::min(job.connect_timeout, std::max(left, kMinConnectTimeout));
}

// Whether the deadline, not the number of the target's addresses, made the timeout shorter than a
// round trip may take.
bool DeadlineCutsConnect(const Job& job, std::chrono::milliseconds left) {
  return left <= job.connect_timeout && left < kMaxRoundTrip;
}

// Returns false if the job is cancelled first.
bool WaitUntil(Deadline time, int cancel_fd) {
  pollfd cancel{cancel_fd, POLLIN, 0};
  while (Clock::now() < time) {
    if (::poll(&cancel, 1, PollMilliseconds(time)) > 0) return false;
  }
  return true;
}

JobNeeds NeedsOf(const Job& job) {
  return {
      .port = job.port,
      .binds_port = job.test.bind_address || job.test.client_port,
      .grants = {.binds_device = !job.test.bind_device.empty(), .multipath_tcp = job.test.mptcp}};
}

wire::Finished NotExecuted(const Job& job, const Error& error) {
  return {job.id, tl::unexpected(TestFailure{FailureReason::kExec, error.message}), Traffic{}};
}

}  // namespace

std::optional<std::uint32_t> FittingPeriod(std::uint32_t period_seconds, const JobTimes& times,
                                           Deadline now) {
  if (now > times.start_by) return std::nullopt;
  const auto left = std::chrono::floor<std::chrono::seconds>(times.end_by - now).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, period_seconds));
}

wire::Event JobRunner::Run(const Job& job) {
  const Deadline begin = Clock::now();
  const auto lock = AcquireLock(job);
  if (lock) return RunTest(job, *lock, Clock::now() - begin);
  switch (lock.error()) {
    case AcquireError::kTimeout:
      return wire::NotStarted{job.id, Reason::kLockTimeout};
    case AcquireError::kCancelled:
      return wire::NotStarted{job.id, Reason::kCancelled};
    case AcquireError::kLockGone:
      break;
  }
  return wire::NotStarted{job.id, Reason::kLockGone};
}

tl::expected<HeldLock, AcquireError> JobRunner::AcquireLock(const Job& job) {
  if (job.lock_key == kNoLock) return HeldLock();
  if (host_lock_ == nullptr) return tl::unexpected(AcquireError::kLockGone);
  return host_lock_->Acquire(job.lock_key, {.target = job.target, .port = job.port},
                             job.times.lock_by, link_.cancel_fd());
}

Result<std::vector<std::string>> JobRunner::PrepareArgv(
    const Job& job, std::uint32_t period_seconds, std::chrono::milliseconds connect_timeout) const {
  Iperf3Command command{.address = job.address,
                        .port = job.port,
                        .connect_timeout = connect_timeout,
                        .test = job.test};
  if (job.credentials) {
    auto path = temporary_.Write("public_key.pem", job.credentials->public_key);
    if (!path) return tl::unexpected(std::move(path.error()));
    command.credentials = &*job.credentials;
    command.public_key_path = std::move(*path);
  }
  return BuildIperf3Argv(command, period_seconds, capabilities_);
}

wire::Event JobRunner::RunTest(const Job& job, const HeldLock& lock,
                               std::chrono::nanoseconds lock_wait) {
  if (!WaitUntil(job.times.not_before, link_.cancel_fd())) {
    return wire::NotStarted{job.id, Reason::kCancelled};
  }
  const TimePoint now = Clock::now();
  const auto period = FittingPeriod(job.test.period_seconds, job.times, now);
  if (!period) return wire::NotStarted{job.id, Reason::kNoTime};
  const Deadline terminate_at = TerminateAt(job, *period, now);
  const auto time_to_connect = TimeToConnect(job, terminate_at, now);
  auto argv = PrepareArgv(job, *period, ConnectTimeout(job, time_to_connect));
  if (!argv) return NotExecuted(job, argv.error());
  Log(LogLevel::kDebug, "test starts",
      {{"target", job.target}, {"port", job.port}, {"command", Join(*argv, " ")}});
  const auto started = process_.Start({
      .argv = std::move(*argv),
      .terminate_at = terminate_at,
      .kill_at = job.times.kill_at,
      .cancel_fd = link_.cancel_fd(),
      .lease_fd = lock.lease_fd(),
      .needs = NeedsOf(job),
      .password = job.credentials ? &job.credentials->password : nullptr,
  });
  if (!started) return NotExecuted(job, started.error());
  // If the supervisor has died, that appears as a cancel.
  static_cast<void>(link_.Send(wire::Started{.job_id = job.id,
                                             .period_seconds = *period,
                                             .lock_wait = lock_wait,
                                             .recovered_lock = lock.recovered()}));
  const RunResult run = process_.Wait();
  const RunFacts facts{.test = job.test,
                       .period = std::chrono::seconds(*period),
                       .run_time = run.run_time,
                       .has_credentials = job.credentials.has_value(),
                       .connect_was_cut = DeadlineCutsConnect(job, time_to_connect)};
  TestResult result =
      run.status ? EvaluateRun(*run.status, process_.output(), process_.errors(), facts, parser_)
                 : TestResult(tl::unexpected(
                       ExplainStop(run.status.error(), process_.output(), facts, parser_)));
  const auto traffic = CountTraffic(result, process_.output(), facts, job.address.is_v6);
  return wire::Finished{job.id, std::move(result), traffic};
}

}  // namespace iperf3_exporter
