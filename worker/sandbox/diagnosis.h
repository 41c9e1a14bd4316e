// --sandbox=diagnose: iperf3's refused calls are told to the worker, which logs their names and
// lets them pass. For porters, never for production.
#pragma once

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// In the child, within its filter: sends the listener's descriptor through `socket_fd`.
// Async-signal-safe.
[[nodiscard]] bool SendListener(int socket_fd, int listener_fd);

// In the worker, once the child has been started.
[[nodiscard]] Result<UniqueFd> ReceiveListener(int socket_fd);

// Takes one refused call from the listener, logs it if its number is new to this process, and
// lets it pass. False when the process is gone.
[[nodiscard]] bool AnswerRefusedCall(int listener_fd);

}  // namespace iperf3_exporter
