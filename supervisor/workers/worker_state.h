// The states of a worker, and the reasons for a replacement, as metrics and log lines name them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

enum class WorkerState : std::uint8_t { kStarting, kIdle, kBusy, kDown };

inline constexpr std::array<std::string_view, 4> kWorkerStateNames = {
    "starting",
    "idle",
    "busy",
    "down",
};

enum class WorkerRestart : std::uint8_t {
  kCrashed,   // it ended, but not by a signal of ours
  kProtocol,  // it broke the protocol
  kNotReady,  // it was not ready in time, or reported that it can't work
  kHung,      // it had not ended its job in time
  kLockGone,  // the lock's files were deleted
};

inline constexpr std::array<std::string_view, 5> kWorkerRestartNames = {
    "crashed", "protocol", "not_ready", "hung", "lock_gone",
};

[[nodiscard]] constexpr std::string_view Name(WorkerRestart reason) {
  return kWorkerRestartNames[static_cast<std::size_t>(reason)];
}

}  // namespace iperf3_exporter
