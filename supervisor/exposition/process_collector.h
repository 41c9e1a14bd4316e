// The process_* family that every Prometheus client library gives, of this process (Linux).
#pragma once

#include <vector>

#include "common/unique_fd.h"

namespace prometheus {
struct MetricFamily;
}

namespace iperf3_exporter {

class ProcessCollector {
 public:
  // Opens /proc/self/stat and /proc/self/fd and keeps them. Where /proc is not mounted Collect
  // gives only what system calls tell.
  ProcessCollector();

  // A value that can't be had is left out. One read of /proc; the descriptors are counted by the
  // size of /proc/self/fd, which Linux 6.2 and later give, else by listing it.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const;

 private:
  UniqueFd stat_;
  UniqueFd fd_directory_;
  double boot_seconds_ = 0;  // Unix time of the boot; 0: unknown
};

}  // namespace iperf3_exporter
