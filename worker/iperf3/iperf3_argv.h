// The command line of one test, built from typed fields alone: no text of a client
// can become an option of iperf3.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/deadline.h"
#include "common/wire/job.h"

namespace iperf3_exporter {

// The seconds between two samples of round trip time and congestion window, which
// iperf3 takes once per interval. At most kMostIntervals of them, so that the report
// of a long test stays small; 1 s, iperf3's own default, up to a minute of test. 60 s is
// the longest that iperf3 takes.
inline constexpr std::uint32_t kMostIntervals = 60;
inline constexpr std::uint32_t kLongestIntervalSeconds = 60;
[[nodiscard]] std::uint32_t IntervalSeconds(std::uint32_t period_seconds);

// The period to be run in the time that is left: the one asked for, if it fits beside the seconds
// omitted and kTestOverhead; else the whole seconds that fit beside kFarTestOverhead, or one, if
// only that fits beside kTestOverhead; nullopt when not even one does.
[[nodiscard]] std::optional<std::uint32_t> FittingPeriod(const TestOptions& test,
                                                         std::chrono::nanoseconds left);

// argv[0] included. `period_seconds` replaces job.test.period_seconds. Options that
// this iperf3 does not name in its help are given all the same, so that it says which
// one it lacks; only --connect-timeout, which nobody asked for, is then left out.
[[nodiscard]] std::vector<std::string> BuildIperf3Argv(const Job& job, std::uint32_t period_seconds,
                                                       const Iperf3Capabilities& capabilities);

}  // namespace iperf3_exporter
