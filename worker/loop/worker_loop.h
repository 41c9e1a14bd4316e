// The worker program: sets itself up once, then runs one job at a time until its supervisor
// closes the socket.
#pragma once

namespace iperf3_exporter {

// Closes every descriptor but standard error and `link_fd`, opens /dev/null in place of
// standard input and output, and of standard error if it is closed, does all the set-up, says
// ready, and serves jobs. Gives the exit status: 0 when the supervisor closed the socket; otherwise
// a line on standard error has said why, and so has WorkerReady if it was not sent yet.
[[nodiscard]] int RunWorker(int link_fd);

}  // namespace iperf3_exporter
