// Maps iperf3's error texts to failure reasons, by a table of the texts of versions 3.9 to 3.20.
// The peer can influence the texts, so only the reason may become a label.
#pragma once

#include <string_view>

#include "common/iperf3/failure_reason.h"
#include "common/iperf3/test_options.h"
#include "worker/iperf3/test_phase.h"

namespace iperf3_exporter {

// `text`: the report's `error` or the result of ExtractErrorLine, of a test with these options that
// ended in `phase`. Returns kServerError if the text is unknown, or if the server may have sent it
// (test_phase.h); only kNoData of a UDP test can be the server's invention.
[[nodiscard]] FailureReason ReasonOfText(std::string_view text, const TestOptions& test,
                                         TestPhase phase);

// Whether the server closed the connection where it checks credentials. From 3.21 on a server
// refuses them so, without an error.
[[nodiscard]] bool ClosedAtCredentials(std::string_view text, TestPhase phase);

// Why a server may have refused credentials, for the log.
[[nodiscard]] std::string_view ExplainRefusal(std::string_view stderr_text);

// Returns iperf3's first error line, without "iperf3: " and "error - ", as a view into
// `stderr_text`; empty if there is none. Skips warnings.
[[nodiscard]] std::string_view ExtractErrorLine(std::string_view stderr_text);

}  // namespace iperf3_exporter
