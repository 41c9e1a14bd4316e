// Log lines that clients can cause as often as they like: one a second per kind, with the number of
// lines that it stands for. The others go out at debug level. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/deadline.h"
#include "common/logging.h"

namespace iperf3_exporter {

class LimitedLog {
 public:
  // `message` must be of static storage.
  LimitedLog(LogLevel level, const char* message) : level_(level), message_(message) {}

  void Add(std::string_view reason, const std::string& peer);

 private:
  const LogLevel level_;
  const char* const message_;
  Deadline next_line_{};
  std::uint64_t suppressed_ = 0;
};

}  // namespace iperf3_exporter
