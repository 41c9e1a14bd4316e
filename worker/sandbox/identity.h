// Who the worker is: another user than its supervisor, without capabilities.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/error.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// Worker N of a supervisor that is root runs as user and group kFirstWorkerUid + N: a user for
// each, so that one worker can neither signal nor trace another. Nobody else has them: systemd's
// assignment of numbers leaves 60578 to 61183 unused, adduser and useradd end at 60000. (Two
// exporters on one host do share them.)
inline constexpr uid_t kFirstWorkerUid = 60600;
inline constexpr std::uint32_t kWorkerUids = 500;

struct IdentityStates {
  LayerState user = LayerState::kNotOffered;
  LayerState capabilities = LayerState::kNotOffered;
};

// Empties the bounding set, changes user and group when we are root and may, and gives up every
// capability. Cannot be undone. Clears the parent-death signal. Fails if a step that we have the
// right to did not work: then the process must not go on.
[[nodiscard]] Result<IdentityStates> DropIdentity(std::uint32_t worker_index);

}  // namespace iperf3_exporter
