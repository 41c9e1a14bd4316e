// The worker's end of its socket. Knows which command is allowed when; any other one is an error,
// which ends the worker.
#pragma once

#include <optional>

#include "common/error.h"
#include "common/wire/wire.h"

namespace iperf3_exporter {

class SupervisorLink {
 public:
  // `fd` is borrowed and blocking.
  explicit SupervisorLink(int fd) : fd_(fd) {}

  [[nodiscard]] int fd() const { return fd_; }

  // While a job runs, this is readable exactly when the job has to end: the supervisor then sends
  // nothing but the job's Cancel, and a closed socket is readable too. Nothing is read from it
  // until the next ReceiveJob.
  [[nodiscard]] int cancel_fd() const { return fd_; }

  // The first command. Blocks. Fails if the socket is closed or another command arrives.
  [[nodiscard]] Result<WorkerConfig> ReceiveConfig();

  // The next job. Blocks. Ignores the Cancel of the previous one. nullopt: the supervisor has
  // closed the socket. Fails on any other command.
  [[nodiscard]] Result<std::optional<Job>> ReceiveJob();

  [[nodiscard]] Status Send(const wire::Event& event) const;

 private:
  int fd_;
  wire::Frame frame_;
};

}  // namespace iperf3_exporter
