// The pages for people and their scripts: landing page, lock status. Pure text from values.
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

// HTML; every value that is not ours is escaped. Before the first worker is ready the version is
// empty and the sandbox null.
[[nodiscard]] std::string BuildLandingPage(const Options& options, std::string_view iperf3_version,
                                           const SandboxReport* sandbox);

// So many of the waiting probes are listed. The page then costs the same however long the queue is,
// and it is requested most when the queue is long.
inline constexpr std::size_t kMaxListedWaiting = 100;

// What /lock-status reports.
struct LockStatus {
  LockScope scope = LockScope::kHost;
  std::string name;
  LockMonitor::Status lock;           // one holder at most with scope `host`
  std::size_t queue_size = 0;         // all that wait
  std::vector<WaitingProbe> waiting;  // the first of them, in order
};

// JSON with the fork's keys (is_locked, locked_by, locked_at, lock_duration, queue_size), which
// speak of the first holder, and ours. Whatever bytes the texts have, the answer is valid JSON.
[[nodiscard]] std::string BuildLockStatus(const LockStatus& status,
                                          std::chrono::system_clock::time_point now);

}  // namespace iperf3_exporter
