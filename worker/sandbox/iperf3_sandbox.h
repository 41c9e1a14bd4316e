// What iperf3 is confined to: prepared once by the worker, entered by each child between fork
// and exec.
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

// What differs from job to job, as the child takes it: plain numbers.
struct JobRestrictions {
  int port_rules_fd = -1;    // Landlock's; -1: the kernel has none
  int diagnosis_fd = -1;     // where the listener goes; -1: not diagnosing
  unsigned cpu_seconds = 0;  // processor time; 0: no limit
};

// Owns what JobRestrictions names, in the worker, for the time of one job.
struct PreparedJob {
  UniqueFd port_rules;
  UniqueFd diagnosis_child;
  UniqueFd diagnosis;
  unsigned cpu_seconds = 0;

  [[nodiscard]] JobRestrictions view() const {
    return {port_rules.get(), diagnosis_child.get(), cpu_seconds};
  }
};

struct Iperf3SandboxOptions {
  std::string temporary_path;    // TMPDIR
  int temporary_fd = -1;         // that it names, to be inherited; -1: a plain path
  int watched_fd = -1;           // of it, as TemporaryFolder gives it
  bool restricts_ports = false;  // Landlock can
  rlim_t most_tasks = kTasks;    // RLIMIT_NPROC
  bool diagnoses = false;        // the filter has a listener
  std::optional<SeccompFilter> filter;
};

class Iperf3Sandbox {
 public:
  // No confinement at all: for tests of what is around it.
  Iperf3Sandbox() = default;

  explicit Iperf3Sandbox(Iperf3SandboxOptions options);

  // The whole environment that iperf3 gets.
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }

  // Stays open in iperf3; -1: none.
  [[nodiscard]] int temporary_fd() const { return options_.temporary_fd; }

  // The folder to be asked HoldsTooMuch about while iperf3 runs; -1: none.
  [[nodiscard]] int watched_fd() const { return options_.watched_fd; }

  // The only path that execveat is allowed to be given; an empty string.
  [[nodiscard]] const char* exec_path() const;

  // In the worker: the rules of one job, which has `time` left.
  [[nodiscard]] Result<PreparedJob> PrepareJob(std::uint16_t port, bool binds_port,
                                               std::chrono::nanoseconds time) const;

  // In the child, last before the exec: async-signal-safe. Gives the step that failed
  // (errno tells why) or nullptr.
  [[nodiscard]] const char* Enter(const JobRestrictions& restrictions) const;

 private:
  Iperf3SandboxOptions options_;
  unsigned processors_ = 1;
  std::vector<std::string> environment_;
  std::vector<ResourceLimit> limits_;
};

}  // namespace iperf3_exporter
