#include "supervisor/probe/probe_answer.h"

namespace iperf3_exporter {
namespace {

std::string UnavailableText(ProbeResult result, std::size_t max_queued,
                            const std::string& worker_error) {
  switch (result) {
    case ProbeResult::kQueueFull:
      return "the queue is full: " + std::to_string(max_queued) +
             " probes are waiting (--probe.max-queued)";
    case ProbeResult::kLockTimeout:
      return "the lock was not had in time: another test holds it";
    case ProbeResult::kWorkerTimeout:
      return "no worker was free in time (--worker.count)";
    case ProbeResult::kDraining:
      return "the exporter is shutting down";
    default:
      return worker_error.empty() ? "no worker is alive" : "no worker is alive: " + worker_error;
  }
}

ProbeAnswer Tested(ProbeResult result, const ProbeProgress& progress, std::uint32_t period_seconds,
                   Deadline now) {
  ProbeAnswer answer{
      .kind = ProbeAnswer::Kind::kTested, .result = result, .outcome = progress.Outcome(now)};
  answer.outcome.period_seconds = period_seconds;
  return answer;
}

}  // namespace

ProbeAnswer BuildSuccess(const ProbeProgress& progress, const JobResult& result, Deadline now) {
  ProbeAnswer answer = Tested(ProbeResult::kSuccess, progress, result.period_seconds, now);
  answer.outcome.measurement = result.measurement;
  return answer;
}

ProbeAnswer BuildFailure(const ProbeProgress& progress, const TestFailure& failure, Deadline now) {
  ProbeAnswer answer = Tested(ProbeResult::kFailure, progress, failure.period_seconds, now);
  answer.outcome.failure = failure.reason;
  return answer;
}

ProbeAnswer BuildForbidden(const char* reason) {
  return {
      .kind = ProbeAnswer::Kind::kForbidden, .result = ProbeResult::kForbidden, .reason = reason};
}

ProbeAnswer BuildUnavailable(ProbeResult result, std::size_t max_queued,
                             const std::string& worker_error) {
  return {.kind = ProbeAnswer::Kind::kUnavailable,
          .result = result,
          .reason = UnavailableText(result, max_queued, worker_error)};
}

void CountAnswer(const ProbeProgress& progress, const ProbeAnswer& answer, Deadline now,
                 ExporterMetrics& metrics) {
  metrics.OnProbe(answer.result, now - progress.received());
  const bool wait_ended =
      answer.kind == ProbeAnswer::Kind::kTested || answer.result == ProbeResult::kLockTimeout;
  if (wait_ended && progress.lock_key() != kNoLock) metrics.OnLockWait(progress.lock_wait());
  if (answer.outcome.failure) metrics.OnProbeFailure(*answer.outcome.failure);
}

}  // namespace iperf3_exporter
