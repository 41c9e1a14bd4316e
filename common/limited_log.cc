#include "common/limited_log.h"

#include <utility>

namespace iperf3_exporter {

void LimitedLog::Add(std::string_view reason, const std::string& peer) {
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

}  // namespace iperf3_exporter
