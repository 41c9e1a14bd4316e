// The line of text that a client gets with a refusal. Pure.
#pragma once

#include <cstddef>
#include <string>

#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

// The texts of kForbidden. The target's does not say which rule, nor what the name resolved to.
inline constexpr char kTargetForbidden[] = "the target is not allowed";
inline constexpr char kPortForbidden[] = "the port is not allowed";

// For one of the reasons that are answered with 503. `worker_error`: why the latest worker could
// not work; empty when that is not known.
[[nodiscard]] std::string UnavailableText(RefusalReason reason, std::size_t max_queued,
                                          const std::string& worker_error);

}  // namespace iperf3_exporter
