// The worker's end when its supervisor ends.
#pragma once

#include "common/error.h"

namespace iperf3_exporter {

// Asks the kernel to signal this process when its parent ends, also while it is stopped. It then
// has a few seconds, so that iperf3 can still take leave of its server (the worker's loop sees the
// closed socket and terminates it); after them it is ended whatever it does, and iperf3 with it.
// Fails if the parent is gone already: `link_fd`, the socket that it made, tells its number
// (SO_PEERCRED). Must be called again after a change of user or of user namespace, which forget it.
[[nodiscard]] Status ArmParentDeath(int link_fd);

}  // namespace iperf3_exporter
