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

// iperf3 samples round-trip time and congestion window once per interval. At most kMaxIntervals of
// them keep the report of a long test small; 1 s is iperf3's default, 60 s its maximum.
inline constexpr std::uint32_t kMaxIntervals = 60;
inline constexpr std::uint32_t kLongestIntervalSeconds = 60;
[[nodiscard]] std::uint32_t IntervalSeconds(std::uint32_t period_seconds);

// The period to be run in the time that is left: the one asked for, if it fits beside the seconds
// omitted and kTestOverhead; else the whole seconds that fit beside kFarTestOverhead, or one, if
// only that fits beside kTestOverhead; nullopt when not even one does.
[[nodiscard]] std::optional<std::uint32_t> FittingPeriod(const TestOptions& test,
                                                         std::chrono::nanoseconds left);

// How long iperf3 may run from its start: only a test that ends by its bytes needs that limit.
[[nodiscard]] std::optional<std::chrono::nanoseconds> RunLimit(const TestOptions& test,
                                                               std::uint32_t period_seconds);

// argv[0] included. `period_seconds` replaces job.test.period_seconds. Options that this iperf3
// does not name in its help are passed all the same, so that it says which one it lacks. Those that
// nobody asked for are left out then.
[[nodiscard]] std::vector<std::string> BuildIperf3Argv(const Job& job, std::uint32_t period_seconds,
                                                       const Iperf3Capabilities& capabilities);

}  // namespace iperf3_exporter
