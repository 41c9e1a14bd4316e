// The process_* families that every Prometheus client library exports, of this process (Linux).
#pragma once

#include <vector>

#include "common/unique_fd.h"

namespace prometheus {
struct MetricFamily;
}

namespace iperf3_exporter {

class ProcessCollector {
 public:
  // Opens /proc/self/stat and /proc/self/fd and keeps them open. Without /proc, Collect returns
  // only what system calls provide.
  ProcessCollector();

  // Leaves out a value that is unavailable. One read of /proc; the descriptors are counted by the
  // size of /proc/self/fd, which Linux 6.2 and later report, else by listing it.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const;

 private:
  UniqueFd stat_;
  UniqueFd fd_directory_;
  double boot_seconds_ = 0;  // Unix time of the boot; 0: unknown
};

}  // namespace iperf3_exporter
