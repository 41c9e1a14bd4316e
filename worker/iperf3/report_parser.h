// iperf3's JSON report to a Measurement. The bytes are hostile: whatever they are,
// the answer is one of ReportOutcome, within time linear in their length.
//
// Guarantees:
//  - kMeasured only for one valid JSON document (RFC 8259, UTF-8) whose top-level object
//    has no `error` member and has the sums of every direction asked for.
//  - Of duplicate keys the first counts; before 3.11 a bidirectional test's second
//    sums, under the same keys, are the reverse direction's.
//  - Numbers that can't be true are left out and counted, never passed on.
//  - No allocation for a report that is no longer than an earlier one.
//
// Two ways lead to the same answer. The plain walk (simdjson On-Demand) visits and
// validates every value of any document. The quick one (regular_report.h) knows how
// iperf3 prints and gives up at the first byte that is otherwise; then the plain walk
// decides. What the quick way may skip is stated at kWholeCheckBytes.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

#include "common/iperf3/measurement.h"
#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"

namespace iperf3_exporter {

// Readable bytes that must follow a report in its buffer; what they hold does not
// matter. (simdjson and the quick way read past the end in whole vectors.)
inline constexpr std::size_t kReportPaddingBytes = 64;

// A regular report up to this size is checked to the last byte. In a longer one (an hour at one
// stream, or a minute in tenths of a second at sixteen) what is between the beginning of
// `intervals` and `end`, which is found from behind, is taken to be as well formed as everything
// around it: nothing of it is reported. So all that can be overlooked is a fault in the middle of
// more than 1 MiB whose beginning and end are flawless. iperf3 does not make one: it prints a
// report from a finished tree in one call, so one that was cut short or ran into other output has
// no such end.
inline constexpr std::size_t kWholeCheckBytes = std::size_t{1} << 20;

enum class ReportOutcome {
  kMeasured,    // the measurement is valid
  kError,       // a valid document with an `error` member: see error_text
  kNoSums,      // a valid document without the sums asked for
  kNoDocument,  // not one valid JSON document
};

struct Report {
  ReportOutcome outcome = ReportOutcome::kNoDocument;
  Measurement measurement;  // only with kMeasured
  // iperf3's own words, only with kError: raw bytes, cut at kMaxErrorTextBytes; empty when
  // `error` is not a string. Valid until the parser's next use.
  std::string_view error_text;
};

class ReportParser {
 public:
  ReportParser();
  ReportParser(const ReportParser&) = delete;
  ReportParser& operator=(const ReportParser&) = delete;
  ~ReportParser();

  // Pure but for the buffers it reuses; never blocks, never throws. At least
  // kReportPaddingBytes readable bytes follow `text`.
  [[nodiscard]] Report Parse(std::string_view text, Protocol protocol, Direction direction);

  // The same by the plain walk alone: what Parse is tested and timed against.
  [[nodiscard]] Report ParsePlainly(std::string_view text, Protocol protocol, Direction direction);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iperf3_exporter
