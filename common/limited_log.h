// Log lines that clients can cause at any rate: a few a second for each reason. The next line of
// the reason counts those suppressed since the one before, which are written at debug level.
// Single-threaded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/deadline.h"
#include "common/logging.h"

namespace iperf3_exporter {

class LimitedLog {
 public:
  static constexpr int kLinesPerSecond = 5;

  LimitedLog(LogLevel level, std::string message) : level_(level), message_(std::move(message)) {}

  // `reason` is one of a fixed set, never a client's text.
  void Add(std::string_view reason, const std::vector<LogField>& fields) {
    std::vector<LogField> all = {{"reason", reason}};
    all.insert(all.end(), fields.begin(), fields.end());
    State& state = reasons_.try_emplace(std::string(reason)).first->second;
    const auto now = Clock::now();
    if (now >= state.second_ends) {
      state.second_ends = now + std::chrono::seconds(1);
      state.lines = 0;
    }
    if (state.lines == kLinesPerSecond) {
      ++state.suppressed;
      return Log(LogLevel::kDebug, message_, all);
    }
    ++state.lines;
    if (state.suppressed != 0) {
      all.emplace_back("more_since_last_line", std::exchange(state.suppressed, 0));
    }
    Log(level_, message_, all);
  }

 private:
  struct State {
    Deadline second_ends{};
    int lines = 0;  // in this second
    std::uint64_t suppressed = 0;
  };

  const LogLevel level_;
  const std::string message_;
  std::map<std::string, State, std::less<>> reasons_;
};

}  // namespace iperf3_exporter
