// Decides whether a test succeeded, from its exit status, report and stderr. None of them
// suffices: 3.12 exits 0 on most failures and reports them only in `error`, 3.9 exits 1 with the
// reason only on stderr, later versions exit 0 after SIGTERM.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"
#include "worker/iperf3/report_parser.h"

namespace iperf3_exporter {

// What the worker knows about the run independently of the report.
struct RunFacts {
  TestOptions test;                      // as requested
  std::chrono::seconds period{0};        // requested from iperf3; with test.bytes an upper limit
  std::chrono::nanoseconds run_time{0};  // from the start of iperf3 to its end
  bool has_credentials = false;
  bool connect_was_cut = false;  // the deadline left too little time to connect over any path
};

// Returns why the test behind `measurement` did not really take place, nullopt if it did. A peer
// that speaks only part of iperf3's protocol can make iperf3 print a complete report of a test that
// never ran, and a path can drop everything that was sent.
//  - kBadOutput: the length of the test is missing, a number contradicts `run` or another
//    number, or the server did not send its results.
//  - kNoData: nothing was received in a direction. The loss of every UDP packet is a result, unless
//    the test was so short that they may all still have been on their way.
// The detail is a sentence for the log. Pure.
[[nodiscard]] std::optional<TestFailure> CheckMeasurement(const Measurement& measurement,
                                                          const RunFacts& run);

// Evaluates a run of iperf3 that the worker did not terminate. `wait_status` is from waitpid(2).
// Success requires exit status 0, a report that `parser` accepts, and a measurement that passes
// CheckMeasurement. The reason for a failure is the first that applies: the signal, the report's
// `error`, kNoData, the error line on stderr with a nonzero exit status, kBadOutput. The detail is
// raw bytes, at most kMaxErrorTextBytes.
//
// kReportPaddingBytes readable bytes must follow `report`. Returns the memory of a large report to
// the system. The caller handles deadlines, cancellation, output limits and a failed exec.
[[nodiscard]] TestResult EvaluateRun(int wait_status, std::string_view report,
                                     std::string_view stderr_text, const RunFacts& run,
                                     ReportParser& parser);

// Says more about a run that the worker terminated, from the report that iperf3 prints then: at the
// deadline the reason is kNoResponse if the test had not begun after 3 s, or if it ran so long that
// only the server can have delayed its end. Returns any other failure as it is.
// The rules for `report` are those of EvaluateRun.
[[nodiscard]] TestFailure ExplainStop(TestFailure stopped, std::string_view report,
                                      const RunFacts& run, ReportParser& parser);

}  // namespace iperf3_exporter
