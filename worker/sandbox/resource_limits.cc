#include "worker/sandbox/resource_limits.h"

#include <algorithm>

#include "worker/sandbox/build_sanitizers.h"

namespace iperf3_exporter {

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
