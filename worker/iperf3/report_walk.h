// The plain walk: simdjson On-Demand over the whole of any document, every value visited and
// validated, because On-Demand itself does not look at what it skips.
#pragma once

#include <memory>
#include <string_view>

#include "worker/iperf3/report_parser.h"
#include "worker/iperf3/report_values.h"

namespace iperf3_exporter {

enum class WalkOutcome { kValid, kError, kInvalid };

class ReportWalker {
 public:
  ReportWalker();
  ReportWalker(const ReportWalker&) = delete;
  ReportWalker& operator=(const ReportWalker&) = delete;
  ~ReportWalker();

  // Fills `values` (cleared by the caller). kError: a valid document that has an `error`
  // member at top level; `error_text` is then its text, valid until the next walk.
  // kReportPaddingBytes readable bytes follow `text`.
  [[nodiscard]] WalkOutcome Walk(std::string_view text, ReportValues& values,
                                 std::string_view& error_text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iperf3_exporter
