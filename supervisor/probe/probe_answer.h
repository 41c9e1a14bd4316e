// What the scraper of a probe gets, and the words of the refusals.
#pragma once

#include <cstddef>
#include <string>

#include "supervisor/metrics/exporter_metrics.h"
#include "supervisor/metrics/probe_exposition.h"

namespace iperf3_exporter {

struct ProbeAnswer {
  enum class Kind {
    kTested,       // 200 with `outcome`, whether it succeeded or not
    kForbidden,    // 403 with `reason`
    kUnavailable,  // 503 with `reason`, one line
  };
  Kind kind = Kind::kUnavailable;
  std::string reason;
  ProbeOutcome outcome;
};

// The 403s. The target's says no more than that: not which rule, nor what the name resolved to.
inline constexpr char kTargetForbidden[] = "the target is not allowed";
inline constexpr char kPortForbidden[] = "the port is not allowed";

// Why no test was tried, for one of the results that are answered with 503. `worker_error`: why
// the latest worker could not work; empty when that is not known.
[[nodiscard]] std::string UnavailableText(ProbeResult result, std::size_t max_queued,
                                          const std::string& worker_error);

}  // namespace iperf3_exporter
