#include "supervisor/probe/refusal.h"

namespace iperf3_exporter {

std::optional<Refusal> CheckPolicy(const ProbeRequest& request) {
  const TargetPolicy& policy = request.module->target_policy;
  for (const std::uint16_t port : request.ports) {
    if (policy.AllowsPort(port)) continue;
    return Refusal{.reason = RefusalReason::kForbidden,
                   .text = TargetPolicy::ForbiddenPortText(port)};
  }
  if (policy.MayAllow(request.host)) return std::nullopt;
  return Refusal{.reason = RefusalReason::kForbidden,
                 .text = policy.ForbiddenText(request.host, {}),
                 .detail = policy.ForbiddenDetail(request.host, {})};
}

std::string UnavailableText(RefusalReason reason, const ProbeProgress& progress,
                            const Options& options, const WorkerPool& pool) {
  switch (reason) {
    case RefusalReason::kQueueFull:
      return QueueFullText(options.max_queued);
    case RefusalReason::kLockTimeout:
      return progress.LockTimeoutText(options.lock_timeout);
    case RefusalReason::kWorkerTimeout:
      return "no worker was free in time (--worker.count)";
    case RefusalReason::kDraining:
      return kDrainingText;
    default:
      return pool.NoWorkerText();
  }
}

}  // namespace iperf3_exporter
