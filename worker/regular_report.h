// The quick way through a report: it reads only what iperf3's printer (cJSON_Print) makes of
// a successful test, ASCII, one member per line, tabs, `start`, `intervals`, `end` and nothing
// after them, and gives up at the first byte that is otherwise. What it has read it has
// checked against JSON's grammar, byte by byte, except as kWholeCheckBytes says.
//
// Its speed comes from the report's own regularity: the lines of an array's first object are
// remembered, and the next object is compared with them, so that a known line costs one
// comparison and, if it ends in a number, one scan for that number's end.
#pragma once

#include <cstddef>
#include <string_view>

#include "worker/report_parser.h"
#include "worker/report_values.h"

namespace iperf3_exporter {

// True: `text` is one valid JSON document without `error`, and `values` (cleared by the
// caller) holds what the plain walk would have found. False: nothing is said about `text`, and
// `values` is unspecified. kReportPaddingBytes readable bytes follow `text`.
[[nodiscard]] bool ReadRegularReport(std::string_view text, ReportValues& values,
                                     std::size_t whole_check_bytes = kWholeCheckBytes);

}  // namespace iperf3_exporter
