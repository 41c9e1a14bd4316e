// The landing page and the lock status. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/lock/lock_monitor.h"
#include "common/sandbox_layer.h"
#include "supervisor/config/options.h"
#include "supervisor/probe/probe_dispatcher.h"

namespace iperf3_exporter {

// HTML; all values from outside are escaped. Before the first worker is ready the version is empty
// and the sandbox null.
[[nodiscard]] std::string BuildLandingPage(const Options& options, std::string_view iperf3_version,
                                           const SandboxReport* sandbox);

// The maximum number of waiting probes that are listed, so that the page of a long queue stays
// cheap.
inline constexpr std::size_t kMaxListedWaiting = 100;

// What /lock-status reports.
struct LockStatus {
  LockScope scope = LockScope::kHost;
  std::string name;
  LockMonitor::Status lock;           // at most one holder with scope `host`
  std::size_t queue_size = 0;         // all waiting probes
  std::vector<WaitingProbe> waiting;  // the first of them, in order
};

// JSON with the fork's keys (is_locked, locked_by, locked_at, lock_duration, queue_size), which
// describe the first holder, and ours. Always valid JSON, whatever bytes the texts contain.
[[nodiscard]] std::string BuildLockStatus(const LockStatus& status,
                                          std::chrono::system_clock::time_point now);

}  // namespace iperf3_exporter
