// Changes the worker to a user other than its supervisor's, and drops all capabilities.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/error.h"
#include "common/sandbox_layer.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// If the supervisor is root, each worker runs as a user and group of its own from this range, so no
// worker can signal or trace another. These numbers are unused: systemd leaves 60578 to 61183 free,
// adduser and useradd end at 60000.
inline constexpr uid_t kFirstWorkerUid = 60600;
inline constexpr std::uint32_t kWorkerUids = 500;

struct IdentityStates {
  LayerState user = LayerState::kNotOffered;
  LayerState capabilities = LayerState::kNotOffered;
  UniqueFd user_reservation;  // keeps other workers from this worker's user while it is open
};

// Empties the bounding set, changes user and group if we are root and are allowed to, and drops
// every capability. Irreversible. Clears the parent-death signal. Fails if a step fails that we
// have the right to take; then the process must exit.
[[nodiscard]] Result<IdentityStates> DropIdentity();

}  // namespace iperf3_exporter
