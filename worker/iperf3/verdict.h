// Whether a test succeeded, by everything that iperf3 left behind. No single sign is
// enough: 3.12 exits 0 on most failures and says so only in `error`, 3.9 exits 1 with
// the reason on stderr only, later ones exit 0 after their own SIGTERM.
#pragma once

#include <string>
#include <string_view>

#include "common/iperf3/failure_reason.h"
#include "common/iperf3/measurement.h"
#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"
#include "worker/iperf3/report_parser.h"

namespace iperf3_exporter {

// How a process ended: exactly one of the two counts.
struct ProcessEnd {
  int exit_code = 0;
  int signal = 0;  // 0: it exited by itself
};

struct Verdict {
  bool succeeded = false;
  FailureReason reason = FailureReason::kBadOutput;  // only without success
  Measurement measurement;                           // only with success
  std::string error_text;  // iperf3's words, for the log only: raw bytes, at most
                           // kMaxErrorTextBytes; may be empty
};

// Success takes all of: exit status 0, one valid JSON document, no `error`, the sums of
// the direction asked for. Otherwise the reason comes from the first of: the
// signal, the document's `error`, the last words on stderr; without any, kBadOutput.
// kReportPaddingBytes readable bytes follow `report`. Deadlines, cancels, caps and a
// failed exec are the caller's to judge: it knows that it ended iperf3 itself.
[[nodiscard]] Verdict Judge(ProcessEnd end, std::string_view report, std::string_view stderr_text,
                            Protocol protocol, Direction direction, ReportParser& parser);

}  // namespace iperf3_exporter
