// The confinement of iperf3: prepared once by the worker, entered by each child between fork and
// exec.
#pragma once

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
  std::chrono::nanoseconds time{0};  // until its end
};

// The same as the child enters it: plain numbers.
struct JobRestrictions {
  int port_rules_fd = -1;    // Landlock's; -1: the kernel has none
  int diagnosis_fd = -1;     // where the listener is sent; -1: not diagnosing
  unsigned cpu_seconds = 0;  // processor time
  JobGrants grants;
};

// Owns what JobRestrictions names, in the worker, for the time of one job.
struct PreparedJob {
  UniqueFd port_rules;
  UniqueFd diagnosis_child;
  UniqueFd diagnosis;
  unsigned cpu_seconds = 0;
  JobGrants grants;

  [[nodiscard]] JobRestrictions view() const {
    return {port_rules.get(), diagnosis_child.get(), cpu_seconds, grants};
  }
};

struct Iperf3SandboxOptions {
  std::string program_directory;  // $ORIGIN of iperf3's library paths
  std::string temporary_path;     // TMPDIR
  int temporary_fd = -1;          // the descriptor that it names; -1: a plain path
  int watched_fd = -1;            // TemporaryDirectory::watched_fd
  bool restricts_ports = false;   // Landlock has port rules
  rlim_t max_tasks = kTasks;      // RLIMIT_NPROC
  bool diagnoses = false;         // the filter has a listener
  std::optional<SeccompFilter> filter;
};

class Iperf3Sandbox {
 public:
  // No confinement at all: for tests of what is around it.
  Iperf3Sandbox() = default;

  explicit Iperf3Sandbox(Iperf3SandboxOptions options);

  // The whole environment of iperf3.
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }

  // Inherited by iperf3; -1: none.
  [[nodiscard]] int temporary_fd() const { return options_.temporary_fd; }

  // The directory to check with ExceedsQuota while iperf3 runs; -1: none.
  [[nodiscard]] int watched_fd() const { return options_.watched_fd; }

  // The only path that execveat accepts: an empty string.
  [[nodiscard]] const char* exec_path() const;

  // In the worker.
  [[nodiscard]] Result<PreparedJob> PrepareJob(const JobNeeds& needs) const;

  // In the child, the last step before the exec. Async-signal-safe. Returns the step that failed
  // (errno says why) or nullptr.
  [[nodiscard]] const char* Enter(const JobRestrictions& restrictions) const;

 private:
  Iperf3SandboxOptions options_;
  unsigned processors_ = 1;
  std::vector<std::string> environment_;
};

}  // namespace iperf3_exporter
