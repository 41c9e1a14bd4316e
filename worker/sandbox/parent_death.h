// Makes the worker exit when its supervisor dies.
#pragma once

#include "common/error.h"

namespace iperf3_exporter {

// Asks the kernel to signal this process when its parent dies, even while it is stopped. It then
// has two seconds, in which the worker's loop sees the closed socket and terminates iperf3, so
// that iperf3 can tell its server. After that SIGALRM kills the worker, and iperf3 with it. Fails
// if the parent has died already: `link_fd`, the socket that it created, has its pid (SO_PEERCRED).
// Call it again after a change of user or user namespace, which resets the signal.
[[nodiscard]] Status ArmParentDeath(int link_fd);

}  // namespace iperf3_exporter
