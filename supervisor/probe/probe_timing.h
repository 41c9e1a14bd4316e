// The times of a probe, from its request to the moment at which its worker is killed. Nothing here
// reads a clock. In order, each under the name of its JobTimes member or function:
//
//   received            the request was read
//   not_before          the pause of the server after its last test is over
//   lock_by             the wait for the lock ends
//   start_by, LastStart the last moment at which one second of test still fits
//   end_by              the latest end of the period, unless it is cut to one second
//   terminate_at        iperf3 gets SIGTERM
//   kill_at             iperf3 gets SIGKILL
//   ProbeDeadline       the scraper has its response, whatever the worker does
//   WorkerKillTime      a worker that has not ended the job is killed
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

#include "common/deadline.h"
#include "common/error.h"
#include "common/iperf3/test_options.h"
#include "common/wire/job.h"
#include "supervisor/config/probe_settings.h"

namespace iperf3_exporter {

// The round trip time is not known before the test. This is about that between Europe and the US
// west coast.
inline constexpr std::chrono::milliseconds kAssumedRoundTrip{150};

// What a test needs beyond its period: starting iperf3, its round trips, and the time from
// `terminate_at` to the deadline.
[[nodiscard]] std::chrono::milliseconds TestOverhead(const TestOptions& test);

// A test of one second may have less: enough for round trips of about 20 ms (18 ms with
// bidirectional TCP).
inline constexpr std::chrono::milliseconds kMinTestOverhead{400};

// The longest wait of a probe while no worker is alive: enough for one ordinary restart, not for a
// worker in back-off.
inline constexpr std::chrono::seconds kWorkerReplacementTime{2};

// Parses X-Prometheus-Scrape-Timeout-Seconds: a finite positive number. More than a day counts as a
// day.
[[nodiscard]] Result<std::chrono::nanoseconds> ParseScrapeTimeout(std::string_view header);

// Parses `max_age`: a duration from 0 to a day. The error says what is expected.
[[nodiscard]] Result<std::chrono::nanoseconds> ParseMaxAge(std::string_view text);

// `received` plus the timeout (`scrape_timeout`, or times.default_timeout without one) minus
// times.offset, or minus half of the timeout if the offset is not smaller; at most `received` plus
// times.limit.
[[nodiscard]] Deadline ProbeDeadline(TimePoint received,
                                     std::optional<std::chrono::nanoseconds> scrape_timeout,
                                     const ProbeTimes& times);

// The same for one of the exporter's own tests, which begins at `start` and must have ended before
// the next one `gap` later: it may wait for the lock as long as `lock_timeout`, and still run for
// its whole period.
[[nodiscard]] Deadline OwnTestDeadline(TimePoint start, const TestOptions& test,
                                       std::chrono::nanoseconds gap,
                                       std::chrono::nanoseconds lock_timeout,
                                       const ProbeTimes& times);

// What a test takes at most once it has its lock.
[[nodiscard]] std::chrono::nanoseconds LongestRun(const TestOptions& test, const ProbeTimes& times);

// The last moment at which one second of this test still fits.
[[nodiscard]] Deadline LastStart(const TestOptions& test, Deadline deadline);

// The times of a job whose wait for the lock ends at `lock_by`. Leaves `not_before` unset.
[[nodiscard]] JobTimes BuildJobTimes(const TestOptions& test, Deadline deadline, Deadline lock_by);

// The longest period in whole seconds, at least 1, of a test that starts at `now`: BuildJobTimes
// gives a worker the same limit.
[[nodiscard]] std::uint32_t LongestPeriod(const TestOptions& test, Deadline deadline,
                                          TimePoint now);

// How long iperf3 may take to connect: the time until `start_by` divided by the number of untried
// addresses (not 0), clamped to 0.1 to 5 s.
[[nodiscard]] std::chrono::milliseconds ConnectTimeout(TimePoint now, Deadline start_by,
                                                       std::size_t untried_addresses);

// When a worker that has not ended its job is killed: 1 s after the probe's deadline, or after its
// job was cancelled.
[[nodiscard]] Deadline WorkerKillTime(Deadline deadline_or_cancel);

// Between two tests of one server: iperf3 3.16 to 3.20 closes its listening socket after a test and
// opens it again. It resets a connection that arrives just then (busy), and refuses one that
// arrives a moment later (connection_refused).
inline constexpr std::chrono::milliseconds kServerPause{50};

// The pause before the one retry that every busy server gets: kServerPause to twice as much.
[[nodiscard]] std::chrono::nanoseconds FirstBusyRetryDelay(std::minstd_rand& random);

// Doubled with each retry, up to the fifth.
inline constexpr std::chrono::milliseconds kFirstRetryDelay{200};
inline constexpr std::uint32_t kMaxRetryDoublings = 5;

// The pause before retry number `retries_done` + 1, of a probe whose server was busy or refused the
// connection. With jitter (0.5 to 1.5 times), so that exporters that collided at a busy server do
// not collide again.
[[nodiscard]] std::chrono::nanoseconds RetryDelay(std::uint32_t retries_done,
                                                  std::minstd_rand& random);

}  // namespace iperf3_exporter
