// How long a probe may take: from the scrape's time-out and the flags. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "common/deadline.h"
#include "supervisor/probe/bad_request.h"

namespace iperf3_exporter {

// X-Prometheus-Scrape-Timeout-Seconds. A finite positive number, else refused; what is more
// than a day counts as a day.
[[nodiscard]] RequestResult<std::chrono::nanoseconds> ParseScrapeTimeout(std::string_view header);

// --probe.default-timeout, --probe.timeout-offset, --iperf3.timeout.
struct ProbeTimes {
  std::chrono::nanoseconds default_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds offset = std::chrono::milliseconds(500);
  std::optional<std::chrono::nanoseconds> limit;
};

// When everything about a probe must be over, `received` being the time its request was read:
// scrape time-out minus the offset (half of the time-out when the offset is as large), and no
// later than the limit.
[[nodiscard]] Deadline ProbeDeadline(Deadline received,
                                     std::optional<std::chrono::nanoseconds> scrape_timeout,
                                     const ProbeTimes& times);

}  // namespace iperf3_exporter
