// --sandbox=diagnose: the worker is notified of the calls that iperf3's filter denies, logs their
// names and lets them continue. For porting, never for production.
#pragma once

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// In the child, under its filter: sends the listener's descriptor through `socket_fd`.
// Async-signal-safe.
[[nodiscard]] bool SendListener(int socket_fd, int listener_fd);

// In the worker, once the child has been started.
[[nodiscard]] Result<UniqueFd> ReceiveListener(int socket_fd);

// Receives one denied call from the listener, logs each call once per process, and lets it
// continue. Returns false if iperf3 has ended.
[[nodiscard]] bool RespondToDeniedCall(int listener_fd);

}  // namespace iperf3_exporter
