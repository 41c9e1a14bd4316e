// One worker: its process and the socket to it, owned together.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// Waits until the process of `pidfd` has exited, but not past `limit`.
void AwaitExit(int pidfd, Deadline limit);

class WorkerProcess {
 public:
  // Starts `path` with the socket as descriptor 3, our standard error, /dev/null as standard input
  // and output, and nothing else open. Call it from the main thread: the worker's parent-death
  // signal is bound to the thread that starts it.
  [[nodiscard]] static Result<std::unique_ptr<WorkerProcess>> Spawn(const std::string& path);

  // Kills the worker, if it is alive, and reaps it. iperf3 dies with it; the OrphanReaper kills
  // anything else that it has started.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  [[nodiscard]] int socket() const { return socket_.get(); }

  // A worker whose socket is closed exits.
  void CloseSocket() { socket_.Reset(); }

  // Kills the worker and returns how it ended: "exit status 1", "signal 9". Blocks until it has
  // been reaped.
  std::string KillAndReap();

 private:
  WorkerProcess(pid_t pid, UniqueFd pidfd, UniqueFd socket);

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd socket_;
  bool reaped_ = false;
};

}  // namespace iperf3_exporter
