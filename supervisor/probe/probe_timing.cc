#include "supervisor/probe/probe_timing.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/go_duration.h"
#include "common/iperf3/option_table.h"
#include "common/quoted_text.h"
#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Between SIGKILL and the deadline: the result travels from the worker to the scraper. A busy
// machine may need tens of milliseconds for each of the three processes on the way.
constexpr milliseconds kResponseTime{130};
// Between SIGTERM and SIGKILL: iperf3 notifies its server (CLIENT_TERMINATE), which frees it.
constexpr milliseconds kTerminationTime{70};
// Starting iperf3.
constexpr milliseconds kStartTime{50};
static_assert(kStartTime + kResponseTime + kTerminationTime < kMinTestOverhead);

// Longer than a worker needs to end a job that was cancelled (SIGTERM, 500 ms, SIGKILL) or whose
// deadline has passed.
constexpr seconds kWorkerGrace{1};

// A silent host does not hold the lock for a whole scrape. The first SYN and two retransmissions
// (after 1 and 3 s) fit.
constexpr milliseconds kMaxConnectTimeout{5000};

// The results follow the data through the queue of a slow link, which the data filled for seconds,
// and wait there twice: the server's request for them, and its answer.
constexpr seconds kMaxResultsTime{15};

// A test that ends by its bytes may exceed its period by its round trips, any other one until its
// server is to be called silent.
nanoseconds MaxOverhead(const TestOptions& test) {
  const nanoseconds round_trips = CountRoundTrips(test) * kMaxRoundTrip;
  if (test.bytes) return round_trips;
  return kMaxConnectTimeout + round_trips + CountFurtherStreams(test) * kMaxRoundTrip +
         kMaxResultsTime;
}

Deadline EndBy(const TestOptions& test, Deadline deadline) {
  return deadline - (seconds(test.omit_seconds) + TestOverhead(test));
}

}  // namespace

Result<nanoseconds> ParseScrapeTimeout(std::string_view header) {
  constexpr double kMaxTimeoutSeconds = 86400;
  double timeout = 0;
  const char* const end = header.data() + header.size();
  const auto result = std::from_chars(header.data(), end, timeout);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(timeout) || timeout <= 0) {
    return MakeError(
        "X-Prometheus-Scrape-Timeout-Seconds header must be a finite positive number, got " +
        QuoteText(header, kMaxQuotedValueBytes));
  }
  return nanoseconds(std::llround(std::min(timeout, kMaxTimeoutSeconds) * 1e9));
}

Result<nanoseconds> ParseMaxAge(std::string_view text) {
  constexpr std::chrono::hours kLongest{24};
  const auto age = ParseGoDuration(text);
  if (age && *age >= nanoseconds::zero() && *age <= kLongest) return *age;
  return MakeError("must be a duration such as 90s or 1m30s, from 0 to " +
                   FormatGoDuration(kLongest));
}

Deadline ProbeDeadline(TimePoint received, std::optional<nanoseconds> scrape_timeout,
                       const ProbeTimes& times) {
  const nanoseconds timeout = scrape_timeout.value_or(times.default_timeout);
  nanoseconds time_left = times.offset < timeout ? timeout - times.offset : timeout / 2;
  if (times.limit) time_left = std::min(time_left, *times.limit);
  return received + time_left;
}

Deadline OwnTestDeadline(TimePoint start, const TestOptions& test, nanoseconds gap,
                         nanoseconds lock_timeout, const ProbeTimes& times) {
  nanoseconds time_left = std::min(gap, lock_timeout + LongestRun(test, times));
  if (times.limit) time_left = std::min(time_left, *times.limit);
  return start + time_left;
}

nanoseconds LongestRun(const TestOptions& test, const ProbeTimes& times) {
  const nanoseconds whole =
      seconds(test.omit_seconds) + seconds(test.period_seconds) + TestOverhead(test);
  return times.limit ? std::min(whole, *times.limit) : whole;
}

Deadline LastStart(const TestOptions& test, Deadline deadline) {
  return deadline - (seconds(test.omit_seconds) + seconds(1) + kMinTestOverhead);
}

milliseconds TestOverhead(const TestOptions& test) {
  return CountRoundTrips(test) * kAssumedRoundTrip + kStartTime + kTerminationTime + kResponseTime;
}

std::uint32_t LongestPeriod(const TestOptions& test, Deadline deadline, TimePoint now) {
  const auto left = std::chrono::floor<seconds>(EndBy(test, deadline) - now).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, kMaxPeriodSeconds));
}

JobTimes BuildJobTimes(const TestOptions& test, Deadline deadline, Deadline lock_by) {
  return {.lock_by = lock_by,
          .not_before = {},
          .start_by = LastStart(test, deadline),
          .end_by = EndBy(test, deadline),
          .terminate_at = deadline - kResponseTime - kTerminationTime,
          .kill_at = deadline - kResponseTime,
          .max_overhead = MaxOverhead(test)};
}

milliseconds ConnectTimeout(TimePoint now, Deadline start_by, std::size_t untried_addresses) {
  const nanoseconds spare = std::max(nanoseconds::zero(), nanoseconds(start_by - now));
  const auto share = std::chrono::duration_cast<milliseconds>(
      spare / static_cast<nanoseconds::rep>(untried_addresses));
  return std::clamp(share, kMinConnectTimeout, kMaxConnectTimeout);
}

Deadline WorkerKillTime(Deadline deadline_or_cancel) { return deadline_or_cancel + kWorkerGrace; }

nanoseconds FirstBusyRetryDelay(std::minstd_rand& random) {
  const nanoseconds pause = kServerPause;
  return nanoseconds(
      std::uniform_int_distribution<nanoseconds::rep>(pause.count(), 2 * pause.count())(random));
}

nanoseconds RetryDelay(std::uint32_t retries_done, std::minstd_rand& random) {
  const nanoseconds base = kFirstRetryDelay * (1U << std::min(retries_done, kMaxRetryDoublings));
  std::uniform_real_distribution<double> jitter(0.5, 1.5);
  return nanoseconds(std::llround(static_cast<double>(base.count()) * jitter(random)));
}

}  // namespace iperf3_exporter
