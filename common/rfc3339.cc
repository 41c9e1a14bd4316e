#include "common/rfc3339.h"

#include <ctime>

namespace iperf3_exporter {

std::string FormatRfc3339(std::chrono::system_clock::time_point when) {
  const auto since_epoch =
      std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count();
  // Rounded down, so that times before 1970 have a positive fraction too.
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(when));
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  std::string result(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &utc));
  // 1000 is added, and its 1 removed, to keep leading zeros.
  const std::string fraction = std::to_string(1000 + since_epoch - seconds * 1000);
  return result.append(fraction, 1) + 'Z';
}

}  // namespace iperf3_exporter
