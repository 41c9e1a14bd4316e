// What iperf3's own words mean, by a table of the texts of its versions 3.9 to 3.20
// (iperf_error.c). They come from iperf3's peer as much as from iperf3: nothing of them goes on,
// only the reason.
#pragma once

#include <string_view>

#include "common/iperf3/failure_reason.h"

namespace iperf3_exporter {

// `text` is the report's `error`, or what ExtractErrorLine gave. kServerError when unknown.
[[nodiscard]] FailureReason ReasonOfText(std::string_view text);

// What iperf3 says for itself on stderr, without its "iperf3: " and "error - "; a warning
// is not an error. Empty when there is nothing; a view into `stderr_text`.
[[nodiscard]] std::string_view ExtractErrorLine(std::string_view stderr_text);

}  // namespace iperf3_exporter
