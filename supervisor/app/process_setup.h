// Prepares the supervisor's process before it opens anything: checks the system, checks and raises
// limits, protects its memory. Each function is called once.
#pragma once

#include "common/error.h"
#include "common/sandbox_layer.h"
#include "supervisor/config/options.h"

namespace iperf3_exporter {

// The supervisor holds TLS keys and passwords: it writes no core file, no other process of its user
// can read its memory, and nothing that it starts gains privileges. Returns the layers as read back
// from the kernel; those that do not apply to the supervisor are kNotOffered.
[[nodiscard]] LayerStates EnterSelfProtection();

// Fails if /proc or /dev/null is missing, which the exporter, its workers and iperf3 need.
[[nodiscard]] Status CheckSystem();

// Raises the soft limit of descriptors, 1024 on most systems, to the hard one: every connection
// needs one. Fails if a limit of this process is too low for `options`.
[[nodiscard]] Status PrepareLimits(const Options& options);

// Makes the stacks of all further threads small.
void LimitThreadStacks();

// Logs which layers are missing in the supervisor, in a worker and in iperf3.
void LogSandbox(const LayerStates& supervisor, const SandboxReport& report);

}  // namespace iperf3_exporter
