// Reads iperf3's JSON report. Its bytes are hostile.
//
// Guarantees:
//  - A measurement comes only from one valid JSON document (RFC 8259, UTF-8) whose top-level object
//    has no `error` member, and has the sums of every requested direction and the requested number
//    of streams.
//  - The first of duplicate keys counts. Up to iperf3 3.10 the second sums of a bidirectional test,
//    under the same keys, are those of the reverse direction.
//  - A number that iperf3 could not have measured is dropped and counted.
//  - Time and memory are linear in the length of the report: at most 6 bytes per byte.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "common/iperf3/test_options.h"
#include "common/iperf3/test_result.h"
#include "worker/iperf3/test_phase.h"

namespace iperf3_exporter {

// simdjson reads whole vectors, so this many readable bytes of any value must follow a report.
inline constexpr std::size_t kReportPaddingBytes = 64;

// The parser keeps its buffers, of up to 6 times this size, between reports; for a longer report
// it allocates and frees others.
inline constexpr std::size_t kMaxReusedReportBytes = std::size_t{256} << 10U;

class ReportParser {
 public:
  ReportParser();
  ReportParser(const ReportParser&) = delete;
  ReportParser& operator=(const ReportParser&) = delete;
  ~ReportParser();

  // Returns the measurement in `text`, the report of a test with the options `test` (protocol,
  // direction, number of streams and omit matter). kReportPaddingBytes readable bytes follow
  // `text`.
  //
  // A report with `error` fails with kServerError and that text as the detail (raw bytes, at most
  // kMaxErrorTextBytes). Anything else that is not a measurement fails with kBadOutput. Never
  // blocks.
  [[nodiscard]] TestResult Parse(std::string_view text, const TestOptions& test);

  // How far the test of the last report had come.
  [[nodiscard]] TestPhase phase() const { return phase_; }
  // Of the last report.
  [[nodiscard]] std::size_t connected_streams() const { return connected_streams_; }

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
  TestPhase phase_ = TestPhase::kUnknown;
  std::size_t connected_streams_ = 0;
};

}  // namespace iperf3_exporter
