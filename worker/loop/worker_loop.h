// The worker program: sets itself up once, then runs one job at a time until its supervisor
// closes the socket.
#pragma once

namespace iperf3_exporter {

// Closes every descriptor but standard error and `link_fd`, opens /dev/null as standard input and
// output (and as standard error if that is closed), sets the worker up, sends WorkerReady or
// SetUpFailed, and serves jobs. Returns the exit status: 0 if the supervisor closed the socket;
// otherwise an error has been logged or sent.
[[nodiscard]] int RunWorker(int link_fd);

}  // namespace iperf3_exporter
