// Maps iperf3's error texts to failure reasons, by a table of the texts of versions 3.9 to 3.20.
// The texts come from iperf3's peer as much as from iperf3, so only the reason may become a label.
#pragma once

#include <string_view>

#include "common/iperf3/failure_reason.h"

namespace iperf3_exporter {

// `text` is the report's `error` or what ExtractErrorLine returned. kServerError if it is unknown.
[[nodiscard]] FailureReason ReasonOfText(std::string_view text);

// Returns the first error line of iperf3 itself, without "iperf3: " and "error - "; warnings are
// skipped. Empty if there is none; a view into `stderr_text`.
[[nodiscard]] std::string_view ExtractErrorLine(std::string_view stderr_text);

}  // namespace iperf3_exporter
