#include "supervisor/probe/refusal_text.h"

namespace iperf3_exporter {

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

}  // namespace iperf3_exporter
