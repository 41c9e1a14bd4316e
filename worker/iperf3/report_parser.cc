#include "worker/iperf3/report_parser.h"

#include <simdjson.h>

#include <optional>
#include <string>
#include <utility>

#include "worker/iperf3/failure_text.h"
#include "worker/iperf3/measurement_builder.h"

namespace iperf3_exporter {
namespace {

namespace dom = simdjson::dom;

static_assert(kReportPaddingBytes >= simdjson::SIMDJSON_PADDING);

// The number under `key`. Of duplicates the first counts, even if it is null.
std::optional<double> Number(dom::element object, std::string_view key) {
  double number = 0;
  if (object[key].get_double().get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

SumValues ReadSum(dom::element sum) {
  return {.seconds = Number(sum, "seconds"),
          .bytes = Number(sum, "bytes"),
          .bits_per_second = Number(sum, "bits_per_second"),
          .retransmits = Number(sum, "retransmits"),
          .jitter_ms = Number(sum, "jitter_ms"),
          .lost_packets = Number(sum, "lost_packets"),
          .packets = Number(sum, "packets")};
}

StreamValues ReadSender(dom::element sender) {
  return {.max_congestion_window = Number(sender, "max_snd_cwnd"),
          .max_rtt = Number(sender, "max_rtt"),
          .min_rtt = Number(sender, "min_rtt"),
          .mean_rtt = Number(sender, "mean_rtt")};
}

CpuUtilization ReadCpu(dom::element cpu, const std::string& host) {
  return {Number(cpu, host + "_total"), Number(cpu, host + "_user"), Number(cpu, host + "_system")};
}

// Where to store the sum under `key`; nullptr if it is not a sum or has been stored already.
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
  for (const dom::element stream : array) {
    if (values.sending.size() == test.parallel) break;
    dom::element sender;
    const bool has_sender = stream["sender"].get(sender) == simdjson::SUCCESS;
    values.sending.push_back(has_sender ? ReadSender(sender) : StreamValues{});
  }
}

ReportValues ReadEnd(dom::object end, const TestOptions& test) {
  ReportValues values;
  for (const auto [key, value] : end) {
    if (!value.is_object()) continue;
    if (auto* sum = FindSum(values, key)) *sum = ReadSum(value);
  }
  dom::element member;
  if (end["streams"].get(member) == simdjson::SUCCESS) ReadStreams(member, test, values);
  if (end["cpu_utilization_percent"].get(member) == simdjson::SUCCESS) {
    values.local_cpu_percent = ReadCpu(member, "host");
    values.remote_cpu_percent = ReadCpu(member, "remote");
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
  dom::object end;
  ReportValues values;
  if (report["end"].get_object().get(end) == simdjson::SUCCESS) values = ReadEnd(end, test);
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
