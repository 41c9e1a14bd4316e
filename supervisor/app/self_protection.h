// What the supervisor denies itself before it reads a key, and room for what it needs. Once, at the
// start of the process; nothing here can be undone.
#pragma once

#include <cstddef>

#include "common/error.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// The supervisor holds TLS keys and passwords: no core file has them, no other process of its user
// can read its memory, and nothing that it starts gains rights. Says what is in force, read back
// from the kernel; layers that are none of the supervisor's are kNotOffered.
[[nodiscard]] LayerStates EnterSelfProtection();

// Every connection is a descriptor, and the soft limit is 1024 on most systems: raises it to the
// hard one. An error when that does not hold `connections` and `own`.
[[nodiscard]] Status RaiseDescriptorLimit(std::size_t connections, std::size_t own);

}  // namespace iperf3_exporter
