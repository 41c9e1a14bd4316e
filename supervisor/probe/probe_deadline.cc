#include "supervisor/probe/probe_deadline.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/quoted_text.h"
#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {

RequestResult<std::chrono::nanoseconds> ParseScrapeTimeout(std::string_view header) {
  constexpr double kMaxTimeoutSeconds = 86400;
  double seconds = 0;
  const char* const end = header.data() + header.size();
  const auto result = std::from_chars(header.data(), end, seconds);
  const bool ok =
      result.ec == std::errc() && result.ptr == end && std::isfinite(seconds) && seconds > 0;
  if (!ok) {
    return tl::unexpected(BadRequest{
        "X-Prometheus-Scrape-Timeout-Seconds header must be a finite positive number, got " +
        QuoteText(header, kMaxQuotedValueBytes)});
  }
  return std::chrono::nanoseconds(std::llround(std::min(seconds, kMaxTimeoutSeconds) * 1e9));
}

Deadline ProbeDeadline(Deadline received, std::optional<std::chrono::nanoseconds> scrape_timeout,
                       const ProbeTimes& times) {
  const std::chrono::nanoseconds timeout = scrape_timeout.value_or(times.default_timeout);
  std::chrono::nanoseconds budget = times.offset < timeout ? timeout - times.offset : timeout / 2;
  if (times.limit) budget = std::min(budget, *times.limit);
  return received + budget;
}

}  // namespace iperf3_exporter
