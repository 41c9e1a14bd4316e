#include "worker/iperf3/report_parser.h"

#include <simdjson.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <utility>

#include "worker/iperf3/failure_text.h"
#include "worker/iperf3/measurement_builder.h"
#include "worker/iperf3/report_values.h"

namespace iperf3_exporter {
namespace {

namespace dom = simdjson::dom;

static_assert(kReportPaddingBytes >= simdjson::SIMDJSON_PADDING);

template <typename Values>
struct NumberKey {
  std::string_view key;
  std::optional<double> Values::*member;
};

constexpr std::array kSumKeys = {
    NumberKey<SumValues>{"seconds", &SumValues::seconds},
    NumberKey<SumValues>{"bytes", &SumValues::bytes},
    NumberKey<SumValues>{"bits_per_second", &SumValues::bits_per_second},
    NumberKey<SumValues>{"retransmits", &SumValues::retransmits},
    NumberKey<SumValues>{"jitter_ms", &SumValues::jitter_ms},
    NumberKey<SumValues>{"lost_packets", &SumValues::lost_packets},
    NumberKey<SumValues>{"packets", &SumValues::packets},
};

constexpr std::array kStreamKeys = {
    NumberKey<StreamValues>{"max_snd_cwnd", &StreamValues::max_congestion_window},
    NumberKey<StreamValues>{"max_rtt", &StreamValues::max_rtt},
    NumberKey<StreamValues>{"min_rtt", &StreamValues::min_rtt},
    NumberKey<StreamValues>{"mean_rtt", &StreamValues::mean_rtt},
};

constexpr std::array kCpuKeys = {
    NumberKey<CpuValues>{"host_total", &CpuValues::host_total},
    NumberKey<CpuValues>{"host_user", &CpuValues::host_user},
    NumberKey<CpuValues>{"host_system", &CpuValues::host_system},
    NumberKey<CpuValues>{"remote_total", &CpuValues::remote_total},
    NumberKey<CpuValues>{"remote_user", &CpuValues::remote_user},
    NumberKey<CpuValues>{"remote_system", &CpuValues::remote_system},
};

// The numbers under `keys` in `element`; none if it is not an object.
template <typename Values, std::size_t kSize>
Values ReadNumbers(dom::element element, const std::array<NumberKey<Values>, kSize>& keys) {
  Values values;
  dom::object object;
  if (element.get_object().get(object) != simdjson::SUCCESS) return values;
  std::bitset<kSize> seen;  // of duplicates the first counts, even if it is null
  for (const auto [key, value] : object) {
    for (std::size_t i = 0; i < kSize; ++i) {
      if (keys[i].key != key) continue;
      double number = 0;
      const bool is_number = value.get_double().get(number) == simdjson::SUCCESS;
      if (is_number && !seen[i]) values.*keys[i].member = number;
      seen.set(i);
      break;
    }
    if (seen.all()) break;
  }
  return values;
}

// Where the sum under `key` belongs; nullptr if it is not one or is there already.
std::optional<SumValues>* FindSum(ReportValues& values, std::string_view key) {
  constexpr std::string_view kReverseSuffix = "_bidir_reverse";
  if (!key.starts_with("sum")) return nullptr;
  const bool reverse = key.ends_with(kReverseSuffix);
  if (reverse) key.remove_suffix(kReverseSuffix.size());
  std::optional<SumValues> DirectionSums::*side = nullptr;
  if (key == "sum") {
    side = &DirectionSums::total;
  } else if (key == "sum_sent") {
    side = &DirectionSums::sent;
  } else if (key == "sum_received") {
    side = &DirectionSums::received;
  } else {
    return nullptr;
  }
  // Up to 3.10 the second sum under a key is the reverse direction's.
  if (!reverse && !(values.forward.*side)) return &(values.forward.*side);
  auto& sum = values.reverse.*side;
  return sum ? nullptr : &sum;
}

// iperf3 lists the streams that it sends on first.
void ReadStreams(dom::element element, const TestOptions& test, ReportValues& values) {
  dom::array array;
  if (element.get_array().get(array) != simdjson::SUCCESS) return;
  values.stream_count = array.size();
  std::uint32_t sending = test.parallel;
  for (const dom::element stream : array) {
    if (sending-- == 0) break;
    dom::element sender;
    if (stream["sender"].get(sender) != simdjson::SUCCESS) continue;
    AddStream(ReadNumbers(sender, kStreamKeys), values.sending);
  }
}

ReportValues ReadEnd(dom::element end, const TestOptions& test) {
  ReportValues values;
  dom::object members;
  if (end.get_object().get(members) != simdjson::SUCCESS) return values;
  bool has_streams = false;
  bool has_cpu = false;
  for (const auto [key, value] : members) {
    if (key == "streams") {
      if (!std::exchange(has_streams, true)) ReadStreams(value, test, values);
    } else if (key == "cpu_utilization_percent") {
      if (!std::exchange(has_cpu, true)) values.cpu = ReadNumbers(value, kCpuKeys);
    } else if (value.is_object()) {
      if (auto* sum = FindSum(values, key)) *sum = ReadNumbers(value, kSumKeys);
    }
  }
  return values;
}

tl::unexpected<TestFailure> BadOutput(std::string detail) {
  return tl::unexpected(TestFailure{FailureReason::kBadOutput, std::move(detail)});
}

TestResult ReadReport(dom::object report, const TestOptions& test) {
  dom::element error;
  if (report["error"].get(error) == simdjson::SUCCESS) {
    std::string_view text;
    if (error.get_string().get(text) != simdjson::SUCCESS) text = {};
    return tl::unexpected(
        TestFailure{ReasonOfText(text), std::string(text.substr(0, kMaxErrorTextBytes))});
  }
  dom::element end;
  ReportValues values;
  if (report["end"].get(end) == simdjson::SUCCESS) values = ReadEnd(end, test);
  const auto measurement = BuildMeasurement(values, test.protocol, test.direction);
  if (!measurement) return BadOutput("the report lacks the sums of a tested direction");
  const std::size_t streams = CountStreams(test);
  if (values.stream_count != streams) {
    return BadOutput("the report has " + std::to_string(values.stream_count) + " streams, not " +
                     std::to_string(streams));
  }
  return *measurement;
}

}  // namespace

struct ReportParser::Buffers {
  dom::parser parser;
};

ReportParser::ReportParser() : buffers_(std::make_unique<Buffers>()) {}
ReportParser::~ReportParser() = default;

TestResult ReportParser::Parse(std::string_view text, const TestOptions& test) {
  // RFC 8259, section 8.1: no byte order mark. Newer versions of simdjson skip it.
  if (text.starts_with("\xef\xbb\xbf"))
    return BadOutput("the report begins with a byte order mark");
  dom::parser large;
  dom::parser& parser = text.size() > kMaxReusedReportBytes ? large : buffers_->parser;
  dom::object report;
  const auto error =
      parser.parse(text.data(), text.size(), /*realloc_if_needed=*/false).get_object().get(report);
  if (error != simdjson::SUCCESS) {
    return BadOutput(std::string("the report is not a JSON object: ") +
                     simdjson::error_message(error));
  }
  return ReadReport(report, test);
}

}  // namespace iperf3_exporter
