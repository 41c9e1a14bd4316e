// The quick way through a report: it reads only what iperf3's printer (cJSON_Print) makes of
// a successful test, ASCII, one member per line, tabs, `start`, `intervals`, `end` and nothing
// after them, and gives up at the first byte that is otherwise. What it has read it has
// checked against JSON's grammar, byte by byte, except as kWholeCheckBytes says.
//
// Its speed comes from the report's own regularity. Inside a report, the lines of an array's first
// object are remembered and the next object is compared with them; from one report to the next,
// the whole of a small one is (report_script.h). A known line costs one comparison and, if it
// has a value, one scan for that value's end.
#pragma once

#include <cstddef>
#include <string_view>

#include "worker/report_parser.h"
#include "worker/report_script.h"
#include "worker/report_values.h"

namespace iperf3_exporter {

class RegularReportReader {
 public:
  RegularReportReader() = default;
  RegularReportReader(const RegularReportReader&) = delete;
  RegularReportReader& operator=(const RegularReportReader&) = delete;

  // True: `text` is one valid JSON document without `error`, and values() is what the plain
  // walk would have found. False: nothing is said about `text`.
  // kReportPaddingBytes readable bytes follow `text`.
  [[nodiscard]] bool Read(std::string_view text, std::size_t whole_check_bytes = kWholeCheckBytes);

  [[nodiscard]] const ReportValues& values() const { return values_; }

 private:
  [[nodiscard]] bool ReadByScript(std::string_view text);

  ReportValues values_;  // of the script's report, until the next Read
  ReportScript script_;
};

}  // namespace iperf3_exporter
