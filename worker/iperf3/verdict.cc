#include "worker/iperf3/verdict.h"

#include <csignal>

#include "worker/iperf3/failure_text.h"

namespace iperf3_exporter {
namespace {

Verdict Failed(FailureReason reason, std::string_view text) {
  Verdict verdict;
  verdict.reason = reason;
  verdict.error_text = std::string(text.substr(0, kMaxErrorTextBytes));
  return verdict;
}

}  // namespace

Verdict Judge(ProcessEnd end, std::string_view report, std::string_view stderr_text,
              Protocol protocol, Direction direction, ReportParser& parser) {
  const std::string_view last_words = ExtractErrorLine(stderr_text);
  if (end.signal == SIGSYS) return Failed(FailureReason::kSandboxViolation, last_words);
  if (end.signal != 0) return Failed(FailureReason::kKilled, last_words);
  const Report parsed = parser.Parse(report, protocol, direction);
  if (parsed.outcome == ReportOutcome::kError) {
    return Failed(ReasonOfText(parsed.error_text), parsed.error_text);
  }
  if (end.exit_code != 0 && !last_words.empty()) {
    return Failed(ReasonOfText(last_words), last_words);
  }
  if (end.exit_code != 0 || parsed.outcome != ReportOutcome::kMeasured) {
    return Failed(FailureReason::kBadOutput, last_words);
  }
  Verdict verdict;
  verdict.succeeded = true;
  verdict.measurement = parsed.measurement;
  return verdict;
}

}  // namespace iperf3_exporter
