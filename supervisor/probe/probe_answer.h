// What the scraper of a probe gets, and what its end means for the log and the metrics.
#pragma once

#include <cstddef>
#include <string>

#include "common/deadline.h"
#include "common/wire/job.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/probe/probe_progress.h"

namespace iperf3_exporter {

struct ProbeAnswer {
  enum class Kind {
    kTested,       // 200 with `outcome`, whether it succeeded or not
    kForbidden,    // 403 with `reason`
    kUnavailable,  // 503 with `reason`, one line
  };
  Kind kind = Kind::kUnavailable;
  ProbeResult result = ProbeResult::kNoWorker;
  std::string reason;
  ProbeOutcome outcome;
};

// The 403s. The target's says no more than that: not which rule, nor what the name resolved to.
inline constexpr char kTargetForbidden[] = "the target is not allowed";
inline constexpr char kPortForbidden[] = "the port is not allowed";

[[nodiscard]] ProbeAnswer BuildSuccess(const ProbeProgress& progress, const JobResult& result,
                                       Deadline now);
[[nodiscard]] ProbeAnswer BuildFailure(const ProbeProgress& progress, const TestFailure& failure,
                                       Deadline now);
[[nodiscard]] ProbeAnswer BuildForbidden(const char* reason);
// No test was tried, for one of the results that are answered with 503. `worker_error`: why the
// latest worker could not work; empty when that is not known.
[[nodiscard]] ProbeAnswer BuildUnavailable(ProbeResult result, std::size_t max_queued,
                                           const std::string& worker_error);

// The end of a probe, in the metrics. Of its waits only those that ended with the lock, or with
// its time-out.
void CountAnswer(const ProbeProgress& progress, const ProbeAnswer& answer, Deadline now,
                 ExporterMetrics& metrics);

}  // namespace iperf3_exporter
