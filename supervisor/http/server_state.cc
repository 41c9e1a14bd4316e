#include "supervisor/http/server_state.h"

namespace iperf3_exporter {

void RejectionLog::Add(std::string_view reason, const std::string& peer) {
  const auto now = Clock::now();
  if (now < next_) {
    ++unsaid_;
    return Log(LogLevel::kDebug, message_, {{"reason", reason}, {"peer", peer}});
  }
  Log(level_, message_, {{"reason", reason}, {"peer", peer}, {"more_since_last_line", unsaid_}});
  unsaid_ = 0;
  next_ = now + std::chrono::seconds(1);
}

}  // namespace iperf3_exporter
