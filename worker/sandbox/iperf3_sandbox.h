// What iperf3 is confined to, prepared once by the worker and entered by each child between
// fork and exec.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/job.h"
#include "common/sandbox_layer.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// What differs from job to job, as the child takes it: plain numbers.
struct JobRestrictions {
  int landlock_ruleset_fd = -1;
};

// Owns what JobRestrictions names, in the worker.
struct PreparedJob {
  UniqueFd landlock_ruleset;

  [[nodiscard]] JobRestrictions view() const { return {landlock_ruleset.get()}; }
};

class Iperf3Sandbox {
 public:
  Iperf3Sandbox() = default;

  // The whole environment that iperf3 gets.
  [[nodiscard]] const std::vector<std::string>& environment() const { return environment_; }

  // The folder that TMPDIR names by its descriptor; must stay open in iperf3. -1: none.
  [[nodiscard]] int temporary_folder_fd() const { return -1; }

  // In the worker: the rules of one job.
  [[nodiscard]] Result<PreparedJob> PrepareJob(std::uint16_t port, bool binds_port) const;

  // In the child, just before the exec: async-signal-safe. Gives the step that failed
  // (errno tells why) or nullptr.
  [[nodiscard]] const char* Enter(const JobRestrictions& restrictions) const;

 private:
  std::vector<std::string> environment_;
};

}  // namespace iperf3_exporter
