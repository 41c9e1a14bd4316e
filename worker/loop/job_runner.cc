#include "worker/loop/job_runner.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "worker/iperf3/iperf3_argv.h"
#include "worker/iperf3/verdict.h"

namespace iperf3_exporter {
namespace {

// Left of the deadline when nothing of iperf3 is left: for the answer's way to the scraper.
constexpr std::chrono::milliseconds kAnswerTime{30};
// What iperf3 is given before that to leave when it is told to: on SIGTERM it says good-bye to its
// server, which is free then, and waits for nobody. Both are part of kTestOverhead.
constexpr std::chrono::milliseconds kLeaveTime{70};
static_assert(kAnswerTime + kLeaveTime < kTestOverhead);

void Fail(JobResult& result, FailureReason reason, std::string text = {}) {
  result.outcome = JobOutcome::kFailed;
  result.reason = reason;
  result.error_text = std::move(text);
}

ProcessEnd EndOf(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {.exit_code = 0, .signal = WTERMSIG(wait_status)};
  return {.exit_code = WEXITSTATUS(wait_status), .signal = 0};
}

}  // namespace

JobResult JobRunner::Run(const Job& job) {
  JobResult result;
  result.job_id = job.id;
  const Deadline start = Clock::now();
  const auto lock = TakeLock(job);
  result.lock_wait = Clock::now() - start;
  if (lock) {
    result.recovered_lock = lock->recovered();
    RunTest(job, *lock, result);
    return result;
  }
  switch (lock.error()) {
    case AcquireError::kTimeout:
      result.outcome = JobOutcome::kLockTimeout;
      break;
    case AcquireError::kCancelled:
      Fail(result, FailureReason::kCancelled);
      break;
    case AcquireError::kLockGone:
      result.outcome = JobOutcome::kLockGone;
      break;
  }
  return result;
}

tl::expected<HeldLock, AcquireError> JobRunner::TakeLock(const Job& job) {
  if (job.lock_key == kNoLock) return HeldLock();
  if (host_lock_ == nullptr) return tl::unexpected(AcquireError::kLockGone);
  for (;;) {
    auto lock = host_lock_->Acquire(job.lock_key, {.target = job.target, .port = job.port},
                                    job.lock_deadline, link_.fd());
    // What ended the wait may be the cancel of an earlier job.
    const bool stale_cancel = !lock && lock.error() == AcquireError::kCancelled &&
                              link_.TryReadInterest(job.id) == JobInterest::kWanted;
    if (!stale_cancel) return lock;
  }
}

void JobRunner::RunTest(const Job& job, const HeldLock& lock, JobResult& result) {
  const auto period = FittingPeriod(job.test, TimeLeft(job.deadline));
  if (!period) {
    return Fail(result, FailureReason::kDeadline, "no whole second of test was left");
  }
  result.period_seconds = *period;
  const std::vector<std::string> argv = BuildIperf3Argv(job, *period, capabilities_);
  Deadline end = job.deadline - kAnswerTime - kLeaveTime;
  if (const auto limit = RunLimit(job.test, *period)) end = std::min(end, Clock::now() + *limit);
  const RunResult run = process_.Run({
      .argv = &argv,
      .deadline = end,
      .grace = kLeaveTime,
      .lease_fd = lock.lease_fd(),
      .port = job.port,
      .binds_port = job.test.bind_address.has_value() || job.test.client_port.has_value(),
      .job_id = job.id,
  });
  result.run_time = run.run_time;
  Conclude(job, run, result);
}

void JobRunner::Conclude(const Job& job, const RunResult& run, JobResult& result) {
  switch (run.end) {
    case RunEnd::kNotStarted:
      result.period_seconds = 0;
      return Fail(result, FailureReason::kExec, run.start_error);
    case RunEnd::kDeadline:
      return Fail(result, FailureReason::kDeadline, "iperf3 had not ended at the deadline");
    case RunEnd::kCancelled:
    case RunEnd::kSupervisorGone:
      return Fail(result, FailureReason::kCancelled);
    case RunEnd::kOutputTooLarge:
      return Fail(result, FailureReason::kOutputTooLarge,
                  "iperf3 printed or left more in files than is accepted");
    case RunEnd::kExited:
      break;
  }
  const ProcessEnd end = EndOf(run.wait_status);
  if (end.signal == SIGSYS) {
    return Fail(result, FailureReason::kSandboxViolation,
                "iperf3 was ended by its system call filter; the call's number is in the kernel's "
                "audit log only (type 1326), --sandbox=diagnose names it");
  }
  Verdict verdict = Judge(end, process_.output(), process_.errors(), job.test.protocol,
                          job.test.direction, parser_);
  if (!verdict.succeeded) return Fail(result, verdict.reason, std::move(verdict.error_text));
  result.outcome = JobOutcome::kSucceeded;
  result.measurement = verdict.measurement;
}

}  // namespace iperf3_exporter
