#include "worker/sandbox/resource_limits.h"

#include <algorithm>
#include <string>

#include "worker/sandbox/build_sanitizers.h"

namespace iperf3_exporter {

Status RaiseDescriptorLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError("getrlimit");
  if (limit.rlim_max <= kProgramFd) {
    return MakeError("the hard limit of open files (ulimit -Hn) must be above " +
                     std::to_string(kProgramFd));
  }
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return ErrnoError("setrlimit");
  return {};
}

bool LowerLimit(const ResourceLimit& limit) {
  if (kBuiltWithSanitizer && limit.resource == RLIMIT_AS) return true;
  const auto resource = static_cast<__rlimit_resource>(limit.resource);
  rlimit now = {};
  if (::getrlimit(resource, &now) != 0) return false;
  const rlim_t most = std::min(now.rlim_max, limit.most);
  const rlimit lowered = {most, most};
  return ::setrlimit(resource, &lowered) == 0;
}

}  // namespace iperf3_exporter
