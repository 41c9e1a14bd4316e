// Why a valid request is refused, as text for the client and for the log.
#pragma once

#include <optional>
#include <string>

#include "supervisor/config/options.h"
#include "supervisor/probe/probe_progress.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/workers/worker_pool.h"

namespace iperf3_exporter {

// Of a port or target that is not allowed, as far as this is known before the target is resolved.
// Without target and port.
[[nodiscard]] std::optional<Refusal> CheckPolicy(const ProbeRequest& request);

inline constexpr char kDrainingText[] = "the exporter is shutting down";

// The body of a 503 response.
[[nodiscard]] std::string UnavailableText(RefusalReason reason, const ProbeProgress& progress,
                                          const Options& options, const WorkerPool& pool);

}  // namespace iperf3_exporter
