#include "common/resource_limit.h"

#include <algorithm>

namespace iperf3_exporter {

Result<rlim_t> RaiseToHardLimit(int resource) {
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit limit = {};
  if (::getrlimit(which, &limit) != 0) return ErrnoError("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(which, &limit) != 0) return ErrnoError("setrlimit");
  return limit.rlim_max;
}

bool SetResourceLimit(int resource, rlim_t max) {
  const auto which = static_cast<__rlimit_resource>(resource);
  rlimit limit = {};
  if (::getrlimit(which, &limit) != 0) return false;
  limit.rlim_max = std::min(limit.rlim_max, max);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(which, &limit) == 0;
}

}  // namespace iperf3_exporter
