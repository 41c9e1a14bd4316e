#include "supervisor/exposition/probe_exposition.h"

#include <prometheus/metric_type.h>

#include <array>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "common/deadline.h"
#include "supervisor/exposition/exposition_writer.h"

namespace iperf3_exporter {
namespace {

using prometheus::MetricType;
using Measured = DirectionMeasurement;

enum class Scope : std::uint8_t {
  kPlain,      // labelled only in a bidirectional test; after a failure 0 with FailureValues::kZero
  kUpload,     // upload only; absent after a failure, but 0 with ProbeLabels::kFork
  kDownload,   // download only; absent after a failure, but 0 with ProbeLabels::kFork
  kDirection,  // always labelled; absent after a failure
};
enum class When : std::uint8_t { kAlways, kTcp, kUdp };

// A value of a direction. Successive rows of the same name are one family.
struct Row {
  std::string_view name;
  Scope scope;
  When when;
  std::string_view help;
  std::optional<double> Measured::*value;
  double factor = 1;
  std::string_view label_name = {};  // empty: no label of its own
  std::string_view label_value = {};
};

using enum Scope;
using enum When;

constexpr double kSecondsToMs = 1e3;
constexpr double kRatioToPercent = 100;
constexpr double kBitsToMegabits = 1e-6;
constexpr std::string_view kRateHelp =
    "Rate over all streams, counted by the sender or the receiver.";
constexpr std::string_view kRttHelp =
    "TCP round-trip time over the streams, measured by the sender's kernel.";

// In the order of the page.
constexpr Row kRows[] = {
    {"iperf3_sent_seconds", kPlain, kAlways, "Time that the sender spent sending, in seconds.",
     &Measured::sent_seconds},
    {"iperf3_sent_bytes", kPlain, kAlways, "Bytes that the sender sent, over all streams.",
     &Measured::sent_bytes},
    {"iperf3_received_seconds", kPlain, kAlways,
     "Time that the receiver spent receiving, in seconds.", &Measured::received_seconds},
    {"iperf3_received_bytes", kPlain, kAlways,
     "Bytes that the receiver received, over all streams.", &Measured::received_bytes},
    {"iperf3_retransmits", kPlain, kTcp, "TCP segments that the sender retransmitted.",
     &Measured::retransmits},
    {"iperf3_sent_packets", kPlain, kUdp, "Datagrams that the sender sent.",
     &Measured::sent_packets},
    {"iperf3_received_packets", kPlain, kUdp, "Datagrams that the receiver received.",
     &Measured::received_packets},
    {"iperf3_lost_packets", kPlain, kUdp, "Lost datagrams.", &Measured::lost_packets},
    {"iperf3_lost_percent", kPlain, kUdp, "Share of the datagrams that were lost, 0 to 100.",
     &Measured::lost_ratio, kRatioToPercent},
    {"iperf3_sent_jitter_ms", kPlain, kUdp, "Jitter measured by the receiver, in milliseconds.",
     &Measured::jitter_seconds, kSecondsToMs},
    {"iperf3_received_jitter_ms", kPlain, kUdp, "Jitter measured by the receiver, in milliseconds.",
     &Measured::jitter_seconds, kSecondsToMs},
    {"iperf3_sent_lost_packets", kPlain, kUdp, "Lost datagrams.", &Measured::lost_packets},
    {"iperf3_sent_lost_percent", kPlain, kUdp, "Share of the datagrams that were lost, 0 to 100.",
     &Measured::lost_ratio, kRatioToPercent},
    {"iperf3_received_lost_packets", kPlain, kUdp, "Lost datagrams.", &Measured::lost_packets},
    {"iperf3_received_lost_percent", kPlain, kUdp,
     "Share of the datagrams that were lost, 0 to 100.", &Measured::lost_ratio, kRatioToPercent},
    {"iperf3_bandwidth_upload_mbps", kUpload, kAlways,
     "Rate at which the server received, in 10^6 bits per second.",
     &Measured::received_bits_per_second, kBitsToMegabits},
    {"iperf3_bandwidth_download_mbps", kDownload, kAlways,
     "Rate at which this host received, in 10^6 bits per second.",
     &Measured::received_bits_per_second, kBitsToMegabits},
    {"iperf3_latency_upload_ms", kUpload, kTcp,
     "Mean TCP round-trip time while uploading, in milliseconds.", &Measured::mean_rtt_seconds,
     kSecondsToMs},
    {"iperf3_latency_download_ms", kDownload, kTcp,
     "Mean TCP round-trip time while downloading, in milliseconds.", &Measured::mean_rtt_seconds,
     kSecondsToMs},
    {"iperf3_packet_loss_upload_percent", kUpload, kUdp,
     "Share of the uploaded datagrams that were lost, 0 to 100.", &Measured::lost_ratio,
     kRatioToPercent},
    {"iperf3_packet_loss_download_percent", kDownload, kUdp,
     "Share of the downloaded datagrams that were lost, 0 to 100.", &Measured::lost_ratio,
     kRatioToPercent},
    {"iperf3_bits_per_second", kDirection, kAlways, kRateHelp, &Measured::sent_bits_per_second, 1,
     "side", "sender"},
    {"iperf3_bits_per_second", kDirection, kAlways, kRateHelp, &Measured::received_bits_per_second,
     1, "side", "receiver"},
    {"iperf3_rtt_seconds", kDirection, kTcp, kRttHelp, &Measured::min_rtt_seconds, 1, "stat",
     "min"},
    {"iperf3_rtt_seconds", kDirection, kTcp, kRttHelp, &Measured::mean_rtt_seconds, 1, "stat",
     "mean"},
    {"iperf3_rtt_seconds", kDirection, kTcp, kRttHelp, &Measured::max_rtt_seconds, 1, "stat",
     "max"},
    {"iperf3_jitter_seconds", kDirection, kUdp, "Jitter measured by the receiver.",
     &Measured::jitter_seconds},
    {"iperf3_lost_ratio", kDirection, kUdp, "Share of the datagrams that were lost, 0 to 1.",
     &Measured::lost_ratio},
    {"iperf3_max_congestion_window_bytes", kDirection, kTcp,
     "Largest congestion window of the sender's streams.", &Measured::max_congestion_window_bytes},
};

// To 15 significant digits: what iperf3 prints as 0.072 ms must not read as 0.07200000000000001.
double Rounded(double value) {
  std::array<char, 32> text{};
  const char* end = std::to_chars(text.data(), text.data() + text.size(), value,
                                  std::chars_format::general, std::numeric_limits<double>::digits10)
                        .ptr;
  std::from_chars(text.data(), end, value);
  return value;
}

// A value of the probe as a whole.
struct ProbeRow {
  std::string_view name;
  std::string_view help;
  double (*value)(const ProbeReport& report);
};

constexpr ProbeRow kUp = {"iperf3_up", "Whether the test succeeded: 1 or 0.",
                          [](const ProbeReport& report) { return report.result ? 1.0 : 0.0; }};

// Absent after a failure with FailureValues::kAbsent.
constexpr ProbeRow kProbeRows[] = {
    {"iperf3_streams", "Parallel streams of the test.",
     [](const ProbeReport& report) -> double { return report.test.parallel; }},
    {"iperf3_requested_period_seconds", "Period that the request asked for.",
     [](const ProbeReport& report) -> double { return report.requested_period_seconds; }},
    {"iperf3_test_period_seconds", "Period that iperf3 was started with.",
     [](const ProbeReport& report) -> double { return report.test.period_seconds; }},
    {"iperf3_probe_duration_seconds", "Time from the request to its response.",
     [](const ProbeReport& report) { return ToSeconds(report.duration); }},
    {"iperf3_lock_wait_seconds", "Time that the probe waited for the lock.",
     [](const ProbeReport& report) { return ToSeconds(report.lock_wait); }},
    {"iperf3_probe_attempts", "Tests that were tried for this probe.",
     [](const ProbeReport& report) -> double { return report.attempts; }},
};

// Adds a value of the whole probe. `more` are labels of its own.
void AddProbeSample(const LabelledReport& labelled,
                    std::initializer_list<MetricLabels::value_type> more, double value,
                    const ProbePageStyle& style, ExpositionWriter& writer) {
  if (style.labels == ProbeLabels::kPlain) return writer.AddSample(labelled.labels(), more, value);
  for (const std::string* labels : {&labelled.upload_labels(), &labelled.download_labels()}) {
    if (!labels->empty()) writer.AddSample(*labels, more, value);
  }
}

bool Applies(const Row& row, const ProbeReport& report, const ProbePageStyle& style) {
  const When protocol = report.test.protocol == Protocol::kUdp ? kUdp : kTcp;
  if (row.when != kAlways && row.when != protocol) return false;
  if (report.result) return true;
  if (style.failure_values == FailureValues::kAbsent || row.scope == kDirection) return false;
  return row.scope == kPlain || style.labels == ProbeLabels::kFork;
}

// Adds the sample of one direction, if the row is about that and it was tested.
void AddDirectionSample(const Row& row, bool upload, bool with_direction,
                        const LabelledReport& labelled, ExpositionWriter& writer) {
  const std::string& with = upload ? labelled.upload_labels() : labelled.download_labels();
  if (with.empty() || row.scope == (upload ? kDownload : kUpload)) return;
  std::optional<double> value = 0;
  if (const auto& result = labelled.report().result; result) {
    const auto& measured = upload ? result->upload : result->download;
    value = measured ? (*measured).*row.value : std::nullopt;
  }
  if (!value) return;
  if (row.factor != 1) value = Rounded(*value * row.factor);
  const std::string& labels = with_direction ? with : labelled.labels();
  if (row.label_name.empty()) return writer.AddSample(labels, {}, *value);
  writer.AddSample(labels, {{row.label_name, row.label_value}}, *value);
}

void AddSamples(const Row& row, const LabelledReport& labelled, const ProbePageStyle& style,
                ExpositionWriter& writer) {
  const bool with_direction =
      row.scope == kDirection || style.labels == ProbeLabels::kFork ||
      (row.scope == kPlain && labelled.report().test.direction == Direction::kBidirectional);
  for (const bool upload : {true, false}) {
    AddDirectionSample(row, upload, with_direction, labelled, writer);
  }
}

void AddCpu(std::string_view host, const CpuUtilization& cpu, const LabelledReport& labelled,
            const ProbePageStyle& style, ExpositionWriter& writer) {
  const auto add = [&](std::string_view mode, std::optional<double> value) {
    if (value) AddProbeSample(labelled, {{"host", host}, {"mode", mode}}, *value, style, writer);
  };
  add("total", cpu.total);
  add("user", cpu.user);
  add("system", cpu.system);
}

void AddProbeRow(const ProbeRow& row, bool also_after_failure,
                 std::span<const LabelledReport> reports, const ProbePageStyle& style,
                 ExpositionWriter& writer) {
  writer.StartFamily(row.name, MetricType::Gauge, row.help);
  for (const LabelledReport& labelled : reports) {
    const ProbeReport& report = labelled.report();
    if (!report.result && !also_after_failure) continue;
    AddProbeSample(labelled, {}, row.value(report), style, writer);
  }
}

}  // namespace

LabelledReport::LabelledReport(const ProbeReport& report, std::string labels)
    : report_(&report), labels_(std::move(labels)) {
  const Direction direction = report.test.direction;
  if (direction != Direction::kDownload) upload_labels_ = labels_ + ",direction=\"upload\"";
  if (direction != Direction::kUpload) download_labels_ = labels_ + ",direction=\"download\"";
}

void AddProbeFamilies(std::span<const LabelledReport> reports, const ProbePageStyle& style,
                      ExpositionWriter& writer) {
  AddProbeRow(kUp, true, reports, style, writer);
  std::string_view family;
  for (const Row& row : kRows) {
    if (std::exchange(family, row.name) != row.name) {
      writer.StartFamily(row.name, MetricType::Gauge, row.help);
    }
    for (const LabelledReport& labelled : reports) {
      if (Applies(row, labelled.report(), style)) AddSamples(row, labelled, style, writer);
    }
  }
  writer.StartFamily("iperf3_cpu_utilization_ratio", MetricType::Gauge,
                     "CPU time divided by the duration of the test; 1 is one processor.");
  for (const LabelledReport& labelled : reports) {
    const auto& result = labelled.report().result;
    if (!result) continue;
    AddCpu("local", result->local_cpu, labelled, style, writer);
    AddCpu("remote", result->remote_cpu, labelled, style, writer);
  }
  for (const ProbeRow& row : kProbeRows) {
    AddProbeRow(row, style.failure_values == FailureValues::kZero, reports, style, writer);
  }
  writer.StartFamily("iperf3_probe_failure", MetricType::Gauge,
                     "1, with the reason why the test failed.");
  for (const LabelledReport& labelled : reports) {
    const auto& result = labelled.report().result;
    if (result) continue;
    AddProbeSample(labelled, {{"reason", Name(result.error().reason)}}, 1, style, writer);
  }
}

std::string BuildProbePage(const ProbeReport& report, const ProbePageStyle& style,
                           ExpositionFormat format) {
  constexpr std::size_t kUsualBytes = 6144;
  std::string page;
  page.reserve(kUsualBytes);
  ExpositionWriter writer(format, page);
  const std::string port = std::to_string(report.port);
  const LabelledReport labelled(report, FormatLabels({{"target", report.target}, {"port", port}}));
  AddProbeFamilies({&labelled, 1}, style, writer);
  writer.EndPage();
  return page;
}

}  // namespace iperf3_exporter
