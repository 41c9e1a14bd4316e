// Whether a test succeeded, by exit status, report and stderr. None of them is enough: 3.12 exits 0
// on most failures and reports them only in `error`, 3.9 exits 1 with the reason only on stderr,
// later versions exit 0 after SIGTERM.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"
#include "worker/iperf3/report_parser.h"

namespace iperf3_exporter {

// What the worker knows without the report.
struct Expectation {
  TestOptions test;                      // as requested
  std::chrono::seconds period{0};        // as run; with test.bytes no more than a limit
  std::chrono::nanoseconds run_time{0};  // from the start of iperf3 to its end
};

// Returns why the test behind `measurement` did not really take place, nullopt if it did. A peer
// that speaks only part of iperf3's protocol can make iperf3 print a complete report of a test that
// never ran, and a path can drop everything that was sent.
//  - kBadOutput: a number contradicts `expected` or another number, or the server did not send its
//    results.
//  - kNoData: the receiver of a direction received nothing. A loss of all UDP packets is a result.
// The detail is a sentence for the log. Pure.
[[nodiscard]] std::optional<TestFailure> CheckMeasurement(const Measurement& measurement,
                                                          const Expectation& expected);

// Evaluates an iperf3 that ended by itself with `wait_status` (waitpid(2)). Success requires exit
// status 0, a report that `parser` accepts, and a measurement that passes CheckMeasurement. The
// reason of a failure comes from the first of: the signal, the report's `error`, the error line on
// stderr after a nonzero exit status; otherwise it is kBadOutput. The detail is raw bytes, at most
// kMaxErrorTextBytes.
//
// kReportPaddingBytes readable bytes follow `report`. The memory for a large report has been
// returned to the system. Deadlines, cancels, output limits and a failed exec are the caller's.
[[nodiscard]] TestResult EvaluateRun(int wait_status, std::string_view report,
                                     std::string_view stderr_text, const Expectation& expected,
                                     ReportParser& parser);

}  // namespace iperf3_exporter
