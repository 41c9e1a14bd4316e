#include "supervisor/probe/probe_answer.h"

namespace iperf3_exporter {

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

}  // namespace iperf3_exporter
