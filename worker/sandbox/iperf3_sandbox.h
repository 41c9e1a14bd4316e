// The confinement of iperf3: prepared once by the worker, entered by each child between fork and
// exec.
#pragma once

#include <dirent.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"

namespace iperf3_exporter {

// What one job needs beyond what every iperf3 may do.
struct JobNeeds {
  std::uint16_t port = 0;   // the only TCP port to connect to; 0: none
  bool binds_port = false;  // a source address or port is requested
  JobGrants grants;
};

// The restrictions of one job, until its child has entered them.
struct PreparedJob {
  UniqueFd port_rules;         // Landlock's; empty: the kernel has none
  UniqueFd listener_sender;    // where the child sends its filter's listener when diagnosing
  UniqueFd listener_receiver;  // where the worker receives it
  unsigned cpu_seconds = 0;    // processor time
  JobGrants grants;
};

struct Iperf3SandboxOptions {
  std::string program_directory;  // $ORIGIN of iperf3's library paths
  std::string temporary_path;     // TMPDIR
  int temporary_fd = -1;          // the descriptor that it names; -1: a plain path
  DIR* watched = nullptr;         // TemporaryDirectory::watched
  bool restricts_ports = false;   // Landlock has port rules
  rlim_t max_tasks = kTasks;      // RLIMIT_NPROC
  bool diagnoses = false;         // the filter has a listener
  std::optional<SeccompFilter> filter;
};

class Iperf3Sandbox {
 public:
  explicit Iperf3Sandbox(Iperf3SandboxOptions options);

  // The whole environment of iperf3.
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }

  // Inherited by iperf3; -1: none.
  [[nodiscard]] int temporary_fd() const { return options_.temporary_fd; }

  // The directory to check with ExceedsQuota while iperf3 runs; nullptr: none.
  [[nodiscard]] DIR* watched() const { return options_.watched; }

  // The only path that execveat accepts: an empty string.
  [[nodiscard]] const char* exec_path() const;

  // In the worker. `time`: until the job's end.
  [[nodiscard]] Result<PreparedJob> PrepareJob(const JobNeeds& needs,
                                               std::chrono::nanoseconds time) const;

  // In the child, the last step before the exec. Async-signal-safe. Returns nullptr, or the name of
  // the failed step and sets errno.
  [[nodiscard]] const char* Enter(const PreparedJob& job) const;

 private:
  Iperf3SandboxOptions options_;
  unsigned processors_ = 1;
  std::vector<std::string> environment_;
};

}  // namespace iperf3_exporter
