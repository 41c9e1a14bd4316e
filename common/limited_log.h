// Log lines that clients can cause at any rate: at most one a second, which counts the lines
// suppressed since the one before. Those are written at debug level. Single-threaded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/deadline.h"
#include "common/logging.h"

namespace iperf3_exporter {

class LimitedLog {
 public:
  // `message` must be of static storage.
  LimitedLog(LogLevel level, const char* message) : level_(level), message_(message) {}

  void Add(std::string_view reason, const std::string& peer) {
    const auto now = Clock::now();
    if (now < next_line_) {
      ++suppressed_;
      return Log(LogLevel::kDebug, message_, {{"reason", reason}, {"peer", peer}});
    }
    Log(level_, message_,
        {{"reason", reason},
         {"peer", peer},
         {"more_since_last_line", std::exchange(suppressed_, 0)}});
    next_line_ = now + std::chrono::seconds(1);
  }

 private:
  const LogLevel level_;
  const char* const message_;
  Deadline next_line_{};
  std::uint64_t suppressed_ = 0;
};

}  // namespace iperf3_exporter
