// The worker's end of its socket. Knows which commands may come when: anything else
// ends the conversation, and with it the worker.
#pragma once

#include <cstdint>
#include <optional>

#include "common/error.h"
#include "common/wire/job.h"
#include "common/wire/wire.h"

namespace iperf3_exporter {

// What the supervisor wants while a job runs.
enum class JobInterest {
  kWanted,
  kCancelled,  // the supervisor takes it back
  kGone,       // the socket closed, or the supervisor broke the protocol: end
};

class SupervisorLink {
 public:
  // `fd` is borrowed and blocking.
  explicit SupervisorLink(int fd) : fd_(fd) {}

  [[nodiscard]] int fd() const { return fd_; }

  // The first command. Blocks. Fails if the socket closes or something else comes.
  [[nodiscard]] Result<WorkerConfig> ReceiveConfig();

  // The next job; a Cancel in between is late and ignored. Blocks. nullopt: the supervisor
  // has closed the socket. Fails on any other command.
  [[nodiscard]] Result<std::optional<Job>> ReceiveJob();

  // Reads what has come while job `job_id` runs. Never blocks. After kGone it stays so.
  [[nodiscard]] JobInterest TryReadInterest(std::uint64_t job_id);

  [[nodiscard]] Status Send(const wire::Frame& frame) const;

 private:
  int fd_;
  wire::Frame frame_;
  bool gone_ = false;
};

}  // namespace iperf3_exporter
