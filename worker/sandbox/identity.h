// Changes the worker to a user other than its supervisor's, and drops all capabilities.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/error.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// If the supervisor is root, worker N runs as user and group kFirstWorkerUid + N. Each has its own
// user, so no worker can signal or trace another. These numbers are unused: systemd leaves 60578 to
// 61183 free, adduser and useradd end at 60000. Two exporters on one host share them.
inline constexpr uid_t kFirstWorkerUid = 60600;
inline constexpr std::uint32_t kWorkerUids = 500;

struct IdentityStates {
  LayerState user = LayerState::kNotOffered;
  LayerState capabilities = LayerState::kNotOffered;
};

// Empties the bounding set, changes user and group if we are root and are allowed to, and drops
// every capability. Irreversible. Clears the parent-death signal. Fails if a step fails that we
// have the right to take; then the process must exit.
[[nodiscard]] Result<IdentityStates> DropIdentity(std::uint32_t worker_index);

}  // namespace iperf3_exporter
