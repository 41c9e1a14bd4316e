// One worker program: its process and the socket to it, owned together. Nothing that it
// says is trusted; see worker_pool.h for what follows from a breach.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "common/deadline.h"
#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

class WorkerProcess {
 public:
  // Starts `path` with the socket as descriptor 3, stderr as ours, stdin and stdout on
  // /dev/null, and nothing else open. Must be called from the main thread: the worker's
  // parent-death signal is bound to the thread that starts it.
  [[nodiscard]] static Result<std::unique_ptr<WorkerProcess>> Spawn(const std::string& path);

  // Kills the worker if it lives (its iperf3 dies with it) and reaps it. What else it had
  // started is the OrphanReaper's.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  [[nodiscard]] int socket() const { return socket_.get(); }

  // The worker's sign to leave. AwaitExit waits until it has, not beyond `limit`.
  void CloseSocket() { socket_.Reset(); }
  void AwaitExit(Deadline limit) const;

  // Ends the worker now and says how it had ended: "exit status 1", "signal 9". Blocks
  // until the kernel has buried it, which takes a SIGKILL's time.
  std::string KillAndReap();

 private:
  WorkerProcess(pid_t pid, UniqueFd pidfd, UniqueFd socket);

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd socket_;
  bool reaped_ = false;
};

}  // namespace iperf3_exporter
