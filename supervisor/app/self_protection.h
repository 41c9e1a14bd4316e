// The supervisor's own protection, before it reads a key, and its descriptor limit. Called once, at
// the start of the process. Nothing here can be undone.
#pragma once

#include <cstddef>

#include "common/error.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// The supervisor holds TLS keys and passwords: it writes no core file, no other process of its user
// can read its memory, and nothing that it starts gains privileges. Returns the layers as read back
// from the kernel; those that do not apply to the supervisor are kNotOffered.
[[nodiscard]] LayerStates EnterSelfProtection();

// Raises the soft limit, 1024 on most systems, to the hard one: every connection needs a
// descriptor. Fails if that is not enough for `connections` and `own`.
[[nodiscard]] Status RaiseDescriptorLimit(std::size_t connections, std::size_t own);

}  // namespace iperf3_exporter
