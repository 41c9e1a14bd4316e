#include "worker/iperf3/report_parser.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "worker/iperf3/measurement_builder.h"

namespace iperf3_exporter {
namespace {

namespace dom = simdjson::dom;

static_assert(kReportPaddingBytes >= simdjson::SIMDJSON_PADDING);

// The number under `key`. Of duplicates the first counts, even if it is null.
struct WantedNumber {
  std::string_view key;
  std::optional<double>* value;
};

// Reads the numbers of `element` in one pass. Of duplicate keys the first counts, even if it is not
// a number.
template <std::size_t kCount>
void ReadNumbers(dom::element element, std::array<WantedNumber, kCount> wanted) {
  dom::object object;
  if (element.get_object().get(object) != simdjson::SUCCESS) return;
  auto end = wanted.end();
  for (const auto [key, value] : object) {
    const auto found = std::find_if(
        wanted.begin(), end, [key = key](const WantedNumber& number) { return number.key == key; });
    if (found == end) continue;
    double number = 0;
    if (value.get_double().get(number) == simdjson::SUCCESS) *found->value = number;
    std::swap(*found, *--end);  // no longer wanted
    if (end == wanted.begin()) return;
  }
}

SumValues ReadSum(dom::element element) {
  SumValues sum;
  ReadNumbers(element,
              std::array{WantedNumber{"seconds", &sum.seconds}, WantedNumber{"bytes", &sum.bytes},
                         WantedNumber{"bits_per_second", &sum.bits_per_second},
                         WantedNumber{"retransmits", &sum.retransmits},
                         WantedNumber{"jitter_ms", &sum.jitter_ms},
                         WantedNumber{"lost_packets", &sum.lost_packets},
                         WantedNumber{"packets", &sum.packets}});
  return sum;
}

StreamValues ReadSender(dom::element element) {
  StreamValues sender;
  ReadNumbers(element, std::array{WantedNumber{"max_snd_cwnd", &sender.max_congestion_window},
                                  WantedNumber{"max_rtt", &sender.max_rtt},
                                  WantedNumber{"min_rtt", &sender.min_rtt},
                                  WantedNumber{"mean_rtt", &sender.mean_rtt}});
  return sender;
}

void ReadCpu(dom::element element, CpuUtilization& local, CpuUtilization& remote) {
  ReadNumbers(element, std::array{WantedNumber{"host_total", &local.total},
                                  WantedNumber{"host_user", &local.user},
                                  WantedNumber{"host_system", &local.system},
                                  WantedNumber{"remote_total", &remote.total},
                                  WantedNumber{"remote_user", &remote.user},
                                  WantedNumber{"remote_system", &remote.system}});
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
  values.sending.reserve(std::min<std::size_t>(test.parallel, values.stream_count));
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
    ReadCpu(member, values.local_cpu_percent, values.remote_cpu_percent);
  }
  return values;
}

tl::unexpected<TestFailure> BadOutput(std::string detail) {
  return tl::unexpected(TestFailure{FailureReason::kBadOutput, std::move(detail)});
}

std::size_t CountConnectedStreams(dom::object report) {
  dom::array connected;
  const bool has_list =
      report["start"]["connected"].get_array().get(connected) == simdjson::SUCCESS;
  return has_list ? connected.size() : 0;
}

// iperf3 adds these members to `start` as the test proceeds.
TestPhase ReadPhase(dom::object report, const TestOptions& test, std::size_t connected_streams) {
  dom::object start;
  if (report["start"].get_object().get(start) != simdjson::SUCCESS) return TestPhase::kConnecting;
  const auto has = [&](std::string_view key) { return start[key].error() == simdjson::SUCCESS; };
  if (has("test_start")) return TestPhase::kRunning;
  // The buffer sizes of the first socket come before the entry of its stream. All streams are
  // connected before iperf3 reads from the control connection again.
  if (has("sndbuf_actual") && has("connected") && connected_streams < CountStreams(test)) {
    return TestPhase::kCreatingStreams;
  }
  return has("connecting_to") ? TestPhase::kAgreed : TestPhase::kConnecting;
}

TestResult ReadReport(dom::object report, const TestOptions& test) {
  dom::element error;
  if (report["error"].get(error) == simdjson::SUCCESS) {
    std::string_view text;
    if (error.get_string().get(text) != simdjson::SUCCESS) text = {};
    return tl::unexpected(
        TestFailure{FailureReason::kServerError, std::string(text.substr(0, kMaxErrorTextBytes))});
  }
  dom::object end;
  ReportValues values;
  if (report["end"].get_object().get(end) == simdjson::SUCCESS) values = ReadEnd(end, test);
  double block_bytes = 0;
  if (report["start"]["test_start"]["blksize"].get(block_bytes) == simdjson::SUCCESS) {
    values.block_bytes = block_bytes;
  }
  const auto measurement = BuildMeasurement(values, test);
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
  phase_ = TestPhase::kUnknown;
  connected_streams_ = 0;
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
  connected_streams_ = CountConnectedStreams(report);
  phase_ = ReadPhase(report, test, connected_streams_);
  return ReadReport(report, test);
}

}  // namespace iperf3_exporter
