#include "worker/iperf3/verdict.h"

#include <malloc.h>
#include <sys/wait.h>

#include <csignal>
#include <string>
#include <utility>

#include "worker/iperf3/failure_text.h"

namespace iperf3_exporter {
namespace {

tl::unexpected<TestFailure> Failed(FailureReason reason, std::string_view detail) {
  return tl::unexpected(TestFailure{reason, std::string(detail.substr(0, kMaxErrorTextBytes))});
}

TestResult ParseAndCheck(std::string_view report, const Expectation& expected,
                         ReportParser& parser) {
  TestResult result = parser.Parse(report, expected.test);
  // malloc would keep what the parser has freed.
  if (report.size() > kMaxReusedReportBytes) ::malloc_trim(0);
  if (!result) return result;
  const auto contradiction = FindContradiction(*result, expected);
  if (contradiction) return Failed(FailureReason::kBadOutput, *contradiction);
  return result;
}

}  // namespace

TestResult EvaluateRun(int wait_status, std::string_view report, std::string_view stderr_text,
                       const Expectation& expected, ReportParser& parser) {
  const std::string_view error_line = ExtractErrorLine(stderr_text);
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS) {
    return Failed(FailureReason::kSandboxViolation,
                  "iperf3 was ended by its system call filter; the call's number is in the "
                  "kernel's audit log only (type 1326), --sandbox=diagnose names it");
  }
  if (WIFSIGNALED(wait_status)) return Failed(FailureReason::kKilled, error_line);
  TestResult result = ParseAndCheck(report, expected, parser);
  // The report's own `error` has a reason of its own.
  if (!result && result.error().reason != FailureReason::kBadOutput) return result;
  const int exit_code = WEXITSTATUS(wait_status);
  if (exit_code != 0 && !error_line.empty()) return Failed(ReasonOfText(error_line), error_line);
  if (exit_code != 0 && result) {
    return Failed(FailureReason::kBadOutput,
                  "iperf3 exited with status " + std::to_string(exit_code) + " after its report");
  }
  return result;
}

}  // namespace iperf3_exporter
