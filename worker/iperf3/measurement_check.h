// Whether a measurement agrees with what the worker itself knows of the test. A peer that speaks
// only part of iperf3's protocol can make iperf3 print a complete report of a test that never ran.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/iperf3/measurement.h"
#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

// What the worker knows without the report.
struct Expectation {
  TestOptions test;                      // as asked for
  std::chrono::seconds period{0};        // as run; with test.bytes no more than a limit
  std::chrono::nanoseconds run_time{0};  // from the start of iperf3 to its end
};

// Returns the first number of `measurement` that contradicts `expected` or another number, as a
// sentence for the log; nullopt when there is none. Pure.
[[nodiscard]] std::optional<std::string> FindContradiction(const Measurement& measurement,
                                                           const Expectation& expected);

}  // namespace iperf3_exporter
