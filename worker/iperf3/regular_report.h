// The quick way through a report: it reads only what iperf3's printer (cJSON_Print) makes of
// a successful test, ASCII, one member per line, tabs, `start`, `intervals`, `end` and nothing
// after them, and gives up at the first byte that is otherwise. What it has read it has
// checked against JSON's grammar, byte by byte, except as kWholeCheckBytes says.
//
// Its speed comes from the report's own regularity (report_pattern.h). Inside a report, an array's
// first object is remembered and the next ones are compared with it; from one report to
// the next, the whole of a small one is. One worker runs the same tests over and over, so nearly
// every small report has the shape of the one before it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/iperf3/report_parser.h"
#include "worker/iperf3/report_pattern.h"
#include "worker/iperf3/report_values.h"

namespace iperf3_exporter {

class RegularReportReader {
 public:
  // A report up to this size is learnt as a whole. Larger ones repeat themselves inside, which pays
  // as well. A report of one stream has some 90 values in 2.7 kB.
  static constexpr std::size_t kMaxScriptBytes = 16384;

  // The limits are other ones for tests only.
  struct Limits {
    std::size_t whole_check_bytes = kWholeCheckBytes;
    std::size_t script_bytes = kMaxScriptBytes;
  };

  RegularReportReader() : RegularReportReader(Limits()) {}
  explicit RegularReportReader(Limits limits) : limits_(limits) {}
  RegularReportReader(const RegularReportReader&) = delete;
  RegularReportReader& operator=(const RegularReportReader&) = delete;

  // True: `text` is one valid JSON document without `error`, and values() is what the plain
  // walk would have found. False: nothing is said about `text`.
  // kReportPaddingBytes readable bytes follow `text`.
  [[nodiscard]] bool Read(std::string_view text);

  [[nodiscard]] const ReportValues& values() const { return values_; }

 private:
  using ReportScript = ReportPattern<double*, 512, kMaxScriptBytes>;  // slots of values_

  // An array's object; iperf3's have at most 32 values, of at most 48 bytes with their keys. A
  // value is wanted for a StreamField. One for end.streams, and one for each depth of array.
  using ElementPattern = ReportPattern<std::uint8_t, 64, 4096>;
  static constexpr std::size_t kElementPatterns = 4;

  class Reader;

  [[nodiscard]] bool ReadByScript(std::string_view text);

  const Limits limits_;
  ReportValues values_;
  ReportScript script_;
  std::array<ElementPattern, kElementPatterns> elements_;
};

}  // namespace iperf3_exporter
