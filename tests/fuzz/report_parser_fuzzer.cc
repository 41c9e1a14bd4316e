// Differential: the quick way through a report must say what the plain walk of the whole
// document says, whatever the bytes are, and whatever report the parser has seen before.
// An input is one byte that chooses what was asked for, then reports separated by 0xFF (which no
// valid report holds), read by one parser in turn.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "worker/iperf3/measurement_builder.h"
#include "worker/iperf3/regular_report.h"
#include "worker/iperf3/report_parser.h"
#include "worker/iperf3/report_walk.h"

namespace iperf3_exporter {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "report parser: %s\n", what);
  std::abort();
}

// The padding is what a buffer would hold that was used before.
std::string Padded(std::string_view text) {
  std::string bytes(text);
  bytes.append(kReportPaddingBytes, text.empty() ? '0' : text.back());
  return bytes;
}

bool IsWithinBounds(const std::optional<DirectionMeasurement>& direction) {
  if (!direction) return true;
  for (const DirectionField& field : kDirectionFields) {
    const auto& value = (*direction).*field.member;
    if (value && !(*value >= 0 && *value <= field.max)) return false;
  }
  return true;
}

Report CompareWays(ReportParser& parser, ReportParser& plain_parser, std::string_view text,
                   Protocol protocol, Direction direction) {
  const Report plain = plain_parser.ParsePlainly(text, protocol, direction);
  for (int time = 0; time < 2; ++time) {  // the second time by the script of the first
    const Report quick = parser.Parse(text, protocol, direction);
    Require(quick.outcome == plain.outcome, "another outcome");
    Require(quick.error_text == plain.error_text, "another error text");
    Require(plain.outcome != ReportOutcome::kMeasured || quick.measurement == plain.measurement,
            "another measurement");
  }
  Require(IsWithinBounds(plain.measurement.upload), "upload out of bounds");
  Require(IsWithinBounds(plain.measurement.download), "download out of bounds");
  return plain;
}

// As a report is read that is too large to be learnt as a whole: object by object.
void CompareByElements(RegularReportReader& reader, std::string_view text, const Report& plain,
                       Protocol protocol, Direction direction) {
  for (int time = 0; time < 2; ++time) {
    if (!reader.Read(text)) return;
    Measurement quick;
    const bool has_sums = BuildMeasurement(reader.values(), protocol, direction, quick);
    Require(plain.outcome == (has_sums ? ReportOutcome::kMeasured : ReportOutcome::kNoSums),
            "another outcome by elements");
    Require(!has_sums || plain.measurement == quick, "another measurement by elements");
  }
}

// With nothing inside `intervals` checked, the answer is that of the same report without
// intervals, all of which is checked.
void CompareWithoutIntervals(std::string_view text, Protocol protocol, Direction direction) {
  constexpr std::string_view kIntervals = ",\n\t\"intervals\":\t[";
  constexpr std::string_view kEnd = "],\n\t\"end\":\t{";
  static RegularReportReader reader({.whole_check_bytes = 0});
  if (!reader.Read(text)) return;
  Measurement quick;
  const bool has_sums = BuildMeasurement(reader.values(), protocol, direction, quick);
  const std::size_t from = text.find(kIntervals) + kIntervals.size();
  const std::size_t to = text.rfind(kEnd);
  Require(from <= to && to < text.size(), "intervals out of order");
  const std::string rest = Padded(std::string(text.substr(0, from)) + std::string(text.substr(to)));
  ReportParser parser;
  const Report plain = parser.ParsePlainly(
      std::string_view(rest).substr(0, rest.size() - kReportPaddingBytes), protocol, direction);
  Require(plain.outcome == (has_sums ? ReportOutcome::kMeasured : ReportOutcome::kNoSums),
          "another outcome without intervals");
  Require(!has_sums || plain.measurement == quick, "another measurement without intervals");
}

void Run(std::string_view input) {
  if (input.empty()) return;
  const auto choice = static_cast<unsigned char>(input.front());
  const Protocol protocol = (choice & 1) != 0 ? Protocol::kUdp : Protocol::kTcp;
  const auto direction = static_cast<Direction>((choice >> 1) % 3);
  input.remove_prefix(1);
  ReportParser parser;
  static ReportParser plain_parser;
  RegularReportReader elements({.script_bytes = 0});
  for (std::size_t end = 0; end != input.npos; input.remove_prefix(end + 1)) {
    end = input.find('\xff');
    const std::string bytes = Padded(input.substr(0, end));
    const auto text = std::string_view(bytes).substr(0, bytes.size() - kReportPaddingBytes);
    const Report plain = CompareWays(parser, plain_parser, text, protocol, direction);
    CompareByElements(elements, text, plain, protocol, direction);
    CompareWithoutIntervals(text, protocol, direction);
    if (end == input.npos) break;
  }
}

}  // namespace
}  // namespace iperf3_exporter

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  iperf3_exporter::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
