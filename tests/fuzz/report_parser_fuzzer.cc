// The parser returns a measurement only if another JSON library accepts the input as one report of
// such a test, and every number is within its bounds. An input is one byte that chooses protocol
// and direction, followed by the report.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "tests/worker/iperf3/json_oracle.h"
#include "tests/worker/iperf3/padded_report.h"
#include "worker/iperf3/run_evaluation.h"

namespace iperf3_exporter {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "report parser: %s\n", what);
  std::abort();
}

bool IsWithinBounds(const std::optional<DirectionMeasurement>& direction) {
  if (!direction) return true;
  for (const DirectionField& field : kDirectionFields) {
    const auto& value = (*direction).*field.member;
    if (value && !(*value >= 0 && *value <= field.max)) return false;
  }
  return true;
}

bool Succeeds(const std::string& text, const TestOptions& test) {
  const PaddedReport report(text, text.empty() ? '0' : text.back());
  static ReportParser parser;  // one for all, as in the worker
  const TestResult result = parser.Parse(report.text(), test);
  const RunFacts expected = {
      .test = test, .period = std::chrono::seconds(1), .run_time = std::chrono::seconds(1)};
  const TestResult evaluated = EvaluateRun(0, report.text(), "", expected, parser);
  Require(result || !evaluated, "a evaluation better than the report");
  if (!result) return false;
  Require(IsWithinBounds(result->upload), "upload out of bounds");
  Require(IsWithinBounds(result->download), "download out of bounds");
  Require(evaluated || evaluated.error().reason == FailureReason::kBadOutput ||
              evaluated.error().reason == FailureReason::kNoData,
          "an unexpected reason");
  return true;
}

void Run(std::string_view input) {
  if (input.empty()) return;
  const auto choice = static_cast<unsigned char>(input.front());
  const std::string text(input.substr(1));
  TestOptions test;
  test.protocol = (choice & 1) != 0 ? Protocol::kUdp : Protocol::kTcp;
  test.direction = static_cast<Direction>((choice >> 1) % 3);
  const JsonOracle oracle(text);
  const std::size_t ways = test.direction == Direction::kBidirectional ? 2 : 1;
  // No test has less than one stream.
  test.parallel = std::max(1U, static_cast<std::uint32_t>(oracle.streams() / ways));
  if (!Succeeds(text, test)) return;
  Require(oracle.AllowsSuccess(test.protocol, test.direction), "success without a valid report");
  Require(test.parallel * ways == oracle.streams(), "success with other streams");
  Require(!Succeeds(text + text, test), "success with two documents");
  ++test.parallel;
  Require(!Succeeds(text, test), "success with fewer streams than asked for");
}

}  // namespace
}  // namespace iperf3_exporter

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  iperf3_exporter::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
