// All times of a probe, from its request to the moment at which its worker is given up. Pure.
//
//   received            the request was read
//   start_by            one second of test still fits until then; a waiting probe gives up
//   terminate_at        iperf3 gets SIGTERM
//   kill_at             iperf3 gets SIGKILL
//   deadline            the scraper has its answer, whatever the worker does
//   WorkerGiveUpTime    a worker that still has not ended the job is killed
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "common/deadline.h"
#include "common/iperf3/test_options.h"
#include "common/wire/job.h"
#include "supervisor/config/probe_settings.h"
#include "supervisor/probe/bad_request.h"

namespace iperf3_exporter {

// What a test needs beyond its seconds: starting iperf3, connecting, exchanging parameters and
// results, and the time from `terminate_at` to the deadline. A period fits when it and this are
// left.
inline constexpr std::chrono::milliseconds kTestOverhead{300};

// A probe that finds no worker alive waits so long for one: the time that replacing a worker takes.
// So a restart costs no probe, and workers that do not come back cost a probe no more than this.
inline constexpr std::chrono::seconds kWorkerReplacementTime{2};

// X-Prometheus-Scrape-Timeout-Seconds. A finite positive number, else refused; more than a day
// counts as a day.
[[nodiscard]] RequestResult<std::chrono::nanoseconds> ParseScrapeTimeout(std::string_view header);

// When the probe is answered at the latest: the scrape timeout after `received`, minus the offset
// (minus half of the timeout when the offset is as large), and no later than the limit.
[[nodiscard]] Deadline ProbeDeadline(Deadline received,
                                     std::optional<std::chrono::nanoseconds> scrape_timeout,
                                     const ProbeTimes& times);

// The last moment at which one second of this test still fits.
[[nodiscard]] Deadline LastStart(const TestOptions& test, Deadline deadline);

// The times of a job of that probe whose wait for the lock ends at `lock_by`.
[[nodiscard]] JobTimes BuildJobTimes(const TestOptions& test, Deadline deadline, Deadline lock_by);

// How long iperf3 may take to connect to one of `addresses` that are left to be tried, so that the
// others get their share of the time until `start_by`.
[[nodiscard]] std::chrono::milliseconds ConnectTimeout(Deadline now, Deadline start_by,
                                                       std::size_t addresses);

// When a worker that has not ended its job is killed: some time after the probe's deadline, or
// after its job was cancelled.
[[nodiscard]] Deadline WorkerGiveUpTime(Deadline deadline_or_cancel);

}  // namespace iperf3_exporter
