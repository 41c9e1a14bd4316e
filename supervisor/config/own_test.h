// One of the exporter's own tests (`tests` of --config.file), as configured.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/config/time_window.h"

namespace iperf3_exporter {

// At most `bytes`, sent and received, in each period of `per`.
struct OwnTestBudget {
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds per{0};

  bool operator==(const OwnTestBudget&) const = default;
};

struct OwnTest {
  std::string name;    // unique: letters, digits, `._-`; begins with a letter or digit
  std::string target;  // as in the file, perhaps with a port
  std::string port;    // empty: that of the target, of the module, or the default
  std::string module;  // empty: the default
  std::chrono::nanoseconds every{0};
  std::uint32_t jitter_percent = 0;  // of `every`
  std::vector<TimeWindow> windows;   // empty: always
  std::optional<OwnTestBudget> budget;
  std::vector<std::pair<std::string, std::string>> labels;
  int line = 0;
};

using OwnTestPointer = std::shared_ptr<const OwnTest>;

}  // namespace iperf3_exporter
