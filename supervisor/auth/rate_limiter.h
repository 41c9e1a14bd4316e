// A token bucket for all requests, as golang.org/x/time/rate with an interval and a burst.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/deadline.h"

namespace iperf3_exporter {

class RateLimiter {
 public:
  // One token per `interval`, at most `burst` at a time; full at first. Interval 0: no limit.
  RateLimiter(std::chrono::nanoseconds interval, int burst)
      : interval_(interval), burst_(burst), tokens_(burst) {}

  // Takes a token if there is one at `now`, which must not decrease from call to call.
  [[nodiscard]] bool Take(TimePoint now) {
    if (interval_ <= std::chrono::nanoseconds::zero()) return true;
    if (last_ != TimePoint()) {
      const std::chrono::duration<double, std::nano> passed = now - last_;
      tokens_ = std::min<double>(burst_, tokens_ + passed / interval_);
    }
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

  // Whether this limiter was constructed with these values.
  [[nodiscard]] bool Is(std::chrono::nanoseconds interval, int burst) const {
    return interval_ == interval && burst_ == burst;
  }

 private:
  std::chrono::nanoseconds interval_;
  int burst_;
  double tokens_;
  TimePoint last_{};
};

}  // namespace iperf3_exporter
