#include "supervisor/exposition/probe_exposition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "common/deadline.h"

namespace iperf3_exporter {
namespace {

// What the value of a sample is taken from. Only a successful test has a measurement, and only a
// metric of one direction is asked for it.
struct Subject {
  const ProbeReport& report;
  const Measurement& measurement;
  const DirectionMeasurement& direction;
};
using Value = std::optional<double>;

template <auto kField>
Value Get(const Subject& subject) {
  return subject.direction.*kField;
}

template <auto kField>
Value Megabits(const Subject& subject) {
  const Value bits = subject.direction.*kField;
  return bits ? Value(*bits / 1e6) : bits;
}

// Rounded to 12 decimals, so that the ratio 0.07 reads as 7 and not as 7.000000000000001.
template <auto kField>
Value Percent(const Subject& subject) {
  const Value ratio = subject.direction.*kField;
  return ratio ? Value(std::round(*ratio * 1e14) / 1e12) : ratio;
}

// To 15 significant digits: what iperf3 prints as 0.072 must not read as 0.07200000000000001.
double Rounded(double value) {
  std::array<char, 32> text{};
  const char* end = std::to_chars(text.data(), text.data() + text.size(), value,
                                  std::chars_format::general, std::numeric_limits<double>::digits10)
                        .ptr;
  std::from_chars(text.data(), end, value);
  return value;
}

template <auto kField>
Value Milliseconds(const Subject& subject) {
  const Value seconds = subject.direction.*kField;
  return seconds ? Value(Rounded(*seconds * 1e3)) : seconds;
}

template <auto kHost, auto kMode>
Value Cpu(const Subject& subject) {
  return (subject.measurement.*kHost).*kMode;
}

// What a metric belongs to, and what becomes of it after a failure.
enum class Scope : std::uint8_t {
  kVerdict,      // the probe; always there
  kReport,       // the probe; after a failure only with FailureValues::kZero
  kMeasurement,  // the test; absent after a failure
  // A direction of the test:
  kPlain,      // labelled only if both were tested; after a failure 0 with FailureValues::kZero
  kUpload,     // named in the metric; absent after a failure
  kDownload,   // likewise
  kDirection,  // always labelled; absent after a failure
};

enum class When : std::uint8_t { kAlways, kTcp, kUdp };

// A sample of a metric. Rows of the same name make one family; they stand together and differ in
// value and labels alone.
struct Row {
  std::string_view name;
  std::string_view help;
  Scope scope;
  When when;
  Value (*value)(const Subject& of);
  std::array<LabelView, 2> labels = {};  // of a direction's rows only the first
};

using Direct = DirectionMeasurement;
using enum Scope;
using enum When;

constexpr std::string_view kRateHelp =
    "Rate over all streams, as the sender and as the receiver counted it.";
constexpr std::string_view kRttHelp =
    "TCP round-trip time over the streams, as the sender's kernel measured it.";
constexpr std::string_view kCpuHelp = "Processor time per time of the test; 1 is one processor.";

// In the order of the page.
constexpr Row kRows[] = {
    {"iperf3_up", "Whether the test succeeded: 1 or 0.", kVerdict, kAlways,
     [](const Subject& of) -> Value { return of.report.result ? 1 : 0; }},
    {"iperf3_sent_seconds", "Time that the sender spent sending, in seconds.", kPlain, kAlways,
     Get<&Direct::sent_seconds>},
    {"iperf3_sent_bytes", "Bytes that the sender sent, over all streams.", kPlain, kAlways,
     Get<&Direct::sent_bytes>},
    {"iperf3_received_seconds", "Time that the receiver spent receiving, in seconds.", kPlain,
     kAlways, Get<&Direct::received_seconds>},
    {"iperf3_received_bytes", "Bytes that the receiver received, over all streams.", kPlain,
     kAlways, Get<&Direct::received_bytes>},
    {"iperf3_retransmits", "TCP segments that the sender sent again.", kPlain, kTcp,
     Get<&Direct::retransmits>},
    {"iperf3_sent_packets", "Datagrams that the sender sent.", kPlain, kUdp,
     Get<&Direct::sent_packets>},
    {"iperf3_received_packets", "Datagrams that arrived.", kPlain, kUdp,
     Get<&Direct::received_packets>},
    {"iperf3_lost_packets", "Datagrams that did not arrive.", kPlain, kUdp,
     Get<&Direct::lost_packets>},
    {"iperf3_lost_percent", "Share of the datagrams that did not arrive, 0 to 100.", kPlain, kUdp,
     Percent<&Direct::lost_ratio>},
    {"iperf3_sent_jitter_ms", "Jitter as the receiver measured it, in milliseconds.", kPlain, kUdp,
     Milliseconds<&Direct::jitter_seconds>},
    {"iperf3_received_jitter_ms", "Jitter as the receiver measured it, in milliseconds.", kPlain,
     kUdp, Milliseconds<&Direct::jitter_seconds>},
    {"iperf3_sent_lost_packets", "Datagrams that were sent and did not arrive.", kPlain, kUdp,
     Get<&Direct::lost_packets>},
    {"iperf3_sent_lost_percent", "Share of the sent datagrams that did not arrive, 0 to 100.",
     kPlain, kUdp, Percent<&Direct::lost_ratio>},
    {"iperf3_received_lost_packets", "Datagrams that the receiver missed.", kPlain, kUdp,
     Get<&Direct::lost_packets>},
    {"iperf3_received_lost_percent", "Share of the datagrams that the receiver missed, 0 to 100.",
     kPlain, kUdp, Percent<&Direct::lost_ratio>},
    {"iperf3_bandwidth_upload_mbps", "Rate at which the server received, in 10^6 bits per second.",
     kUpload, kAlways, Megabits<&Direct::received_bits_per_second>},
    {"iperf3_bandwidth_download_mbps", "Rate at which this host received, in 10^6 bits per second.",
     kDownload, kAlways, Megabits<&Direct::received_bits_per_second>},
    {"iperf3_latency_upload_ms", "Mean TCP round-trip time while uploading, in milliseconds.",
     kUpload, kTcp, Milliseconds<&Direct::mean_rtt_seconds>},
    {"iperf3_latency_download_ms", "Mean TCP round-trip time while downloading, in milliseconds.",
     kDownload, kTcp, Milliseconds<&Direct::mean_rtt_seconds>},
    {"iperf3_packet_loss_upload_percent", "Share of the uploaded datagrams lost, 0 to 100.",
     kUpload, kUdp, Percent<&Direct::lost_ratio>},
    {"iperf3_packet_loss_download_percent", "Share of the downloaded datagrams lost, 0 to 100.",
     kDownload, kUdp, Percent<&Direct::lost_ratio>},
    {"iperf3_bits_per_second",
     kRateHelp,
     kDirection,
     kAlways,
     Get<&Direct::sent_bits_per_second>,
     {{{"side", "sender"}}}},
    {"iperf3_bits_per_second",
     kRateHelp,
     kDirection,
     kAlways,
     Get<&Direct::received_bits_per_second>,
     {{{"side", "receiver"}}}},
    {"iperf3_rtt_seconds",
     kRttHelp,
     kDirection,
     kTcp,
     Get<&Direct::min_rtt_seconds>,
     {{{"stat", "min"}}}},
    {"iperf3_rtt_seconds",
     kRttHelp,
     kDirection,
     kTcp,
     Get<&Direct::mean_rtt_seconds>,
     {{{"stat", "mean"}}}},
    {"iperf3_rtt_seconds",
     kRttHelp,
     kDirection,
     kTcp,
     Get<&Direct::max_rtt_seconds>,
     {{{"stat", "max"}}}},
    {"iperf3_jitter_seconds", "Jitter as the receiver measured it.", kDirection, kUdp,
     Get<&Direct::jitter_seconds>},
    {"iperf3_lost_ratio", "Share of the datagrams that did not arrive, 0 to 1.", kDirection, kUdp,
     Get<&Direct::lost_ratio>},
    {"iperf3_max_congestion_window_bytes", "Largest congestion window of the sender's streams.",
     kDirection, kTcp, Get<&Direct::max_congestion_window_bytes>},
    {"iperf3_cpu_utilization_ratio",
     kCpuHelp,
     kMeasurement,
     kAlways,
     Cpu<&Measurement::local_cpu, &CpuUtilization::total>,
     {{{"host", "local"}, {"mode", "total"}}}},
    {"iperf3_cpu_utilization_ratio",
     kCpuHelp,
     kMeasurement,
     kAlways,
     Cpu<&Measurement::local_cpu, &CpuUtilization::user>,
     {{{"host", "local"}, {"mode", "user"}}}},
    {"iperf3_cpu_utilization_ratio",
     kCpuHelp,
     kMeasurement,
     kAlways,
     Cpu<&Measurement::local_cpu, &CpuUtilization::system>,
     {{{"host", "local"}, {"mode", "system"}}}},
    {"iperf3_cpu_utilization_ratio",
     kCpuHelp,
     kMeasurement,
     kAlways,
     Cpu<&Measurement::remote_cpu, &CpuUtilization::total>,
     {{{"host", "remote"}, {"mode", "total"}}}},
    {"iperf3_cpu_utilization_ratio",
     kCpuHelp,
     kMeasurement,
     kAlways,
     Cpu<&Measurement::remote_cpu, &CpuUtilization::user>,
     {{{"host", "remote"}, {"mode", "user"}}}},
    {"iperf3_cpu_utilization_ratio",
     kCpuHelp,
     kMeasurement,
     kAlways,
     Cpu<&Measurement::remote_cpu, &CpuUtilization::system>,
     {{{"host", "remote"}, {"mode", "system"}}}},
    {"iperf3_streams", "Parallel streams of the test.", kReport, kAlways,
     [](const Subject& of) -> Value { return of.report.test.parallel; }},
    {"iperf3_test_period_seconds", "Length of the test as it was run.", kReport, kAlways,
     [](const Subject& of) -> Value { return of.report.test.period_seconds; }},
    {"iperf3_probe_duration_seconds", "Time from the request to its answer.", kReport, kAlways,
     [](const Subject& of) -> Value { return ToSeconds(of.report.duration); }},
    {"iperf3_lock_wait_seconds", "Time that the probe waited for the lock.", kReport, kAlways,
     [](const Subject& of) -> Value { return ToSeconds(of.report.lock_wait); }},
    {"iperf3_probe_attempts", "Tests that were started for this probe.", kReport, kAlways,
     [](const Subject& of) -> Value { return of.report.attempts; }},
};

bool Applies(When when, Protocol protocol) {
  return when == kAlways || (when == kUdp) == (protocol == Protocol::kUdp);
}

bool IsShown(Scope scope, bool success, FailureValues failure_values) {
  if (success || scope == kVerdict) return true;
  return failure_values == FailureValues::kZero && (scope == kReport || scope == kPlain);
}

// Adds the samples of one family that belong to one direction, or to none of them.
void AddSamples(std::span<const Row> rows, const LabelledReport& labelled,
                const DirectionMeasurement& direction, LabelView direction_label,
                GaugeFamily& family) {
  static const Measurement kNoMeasurement;
  const ProbeReport& report = *labelled.report;
  const Subject subject = {report, report.result ? *report.result : kNoMeasurement, direction};
  for (const Row& row : rows) {
    const bool zero = !report.result && row.scope == kPlain;
    const Value value = zero ? 0 : row.value(subject);
    if (!value) continue;
    const std::array<LabelView, 2> with_direction = {direction_label, row.labels[0]};
    family.samples.push_back(
        {&labelled.labels, direction_label.first.empty() ? row.labels : with_direction, *value});
  }
}

void AddDirections(std::span<const Row> rows, const LabelledReport& labelled, GaugeFamily& family) {
  static const DirectionMeasurement kUnknown;
  const ProbeReport& report = *labelled.report;
  const Scope scope = rows.front().scope;
  const bool both = report.test.direction == Direction::kBidirectional;
  const bool is_labelled = scope == kDirection || (scope == kPlain && both);
  for (const bool upload : {true, false}) {
    if (!both && upload != (report.test.direction == Direction::kUpload)) continue;
    if (scope == (upload ? kDownload : kUpload)) continue;
    const auto* measured = &kUnknown;
    if (report.result) {
      const auto& known = upload ? report.result->upload : report.result->download;
      if (known) measured = &*known;
    }
    const LabelView label = {"direction", upload ? "upload" : "download"};
    AddSamples(rows, labelled, *measured, is_labelled ? label : LabelView(), family);
  }
}

GaugeFamily BuildFamily(std::span<const Row> rows, std::span<const LabelledReport> reports,
                        FailureValues failure_values) {
  const Row& first = rows.front();
  GaugeFamily family = {first.name, first.help, {}};
  for (const LabelledReport& labelled : reports) {
    const ProbeReport& report = *labelled.report;
    if (!Applies(first.when, report.test.protocol)) continue;
    if (!IsShown(first.scope, report.result.has_value(), failure_values)) continue;
    if (first.scope >= kPlain) {
      AddDirections(rows, labelled, family);
    } else {
      AddSamples(rows, labelled, {}, {}, family);
    }
  }
  return family;
}

GaugeFamily BuildFailures(std::span<const LabelledReport> reports) {
  GaugeFamily family = {"iperf3_probe_failure", "1, with the reason why the test failed.", {}};
  for (const LabelledReport& labelled : reports) {
    const TestResult& result = labelled.report->result;
    if (result) continue;
    family.samples.push_back({&labelled.labels, {{{"reason", Name(result.error().reason)}}}, 1});
  }
  return family;
}

}  // namespace

std::vector<GaugeFamily> BuildProbeFamilies(std::span<const LabelledReport> reports,
                                            FailureValues failure_values) {
  std::vector<GaugeFamily> families;
  families.reserve(std::size(kRows));
  std::span<const Row> rest = kRows;
  while (!rest.empty()) {
    const auto end = std::find_if(rest.begin(), rest.end(), [&rest](const Row& row) {
      return row.name != rest.front().name;
    });
    const auto count = static_cast<std::size_t>(end - rest.begin());
    families.push_back(BuildFamily(rest.first(count), reports, failure_values));
    rest = rest.subspan(count);
  }
  families.push_back(BuildFailures(reports));
  return families;
}

std::string BuildProbePage(const ProbeReport& report, FailureValues failure_values,
                           ExpositionFormat format) {
  constexpr std::size_t kUsualPageBytes = 6144;
  const LabelledReport labelled = {
      &report, {{"target", report.target}, {"port", std::to_string(report.port)}}};
  std::string page;
  page.reserve(kUsualPageBytes);
  AppendFamilies(BuildProbeFamilies({&labelled, 1}, failure_values), format, page);
  AppendEnd(format, page);
  return page;
}

}  // namespace iperf3_exporter
