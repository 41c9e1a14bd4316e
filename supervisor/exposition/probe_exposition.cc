#include "supervisor/exposition/probe_exposition.h"

#include <prometheus/metric_family.h>

#include <array>
#include <charconv>
#include <initializer_list>
#include <span>
#include <string_view>

#include "common/deadline.h"
#include "supervisor/exposition/exposition_text.h"

namespace iperf3_exporter {
namespace {

using Field = std::optional<double> DirectionMeasurement::*;

constexpr double kMegabitsPerBit = 1e-6;

enum class When : std::uint8_t { kAlways, kTcp, kUdp };

// A metric of one direction that does not name it: one per test, or one per direction of a
// bidirectional test.
struct PlainRow {
  std::string_view name;
  std::string_view help;
  When when;
  Field field;
  double scale;  // times the field
};

constexpr std::array<PlainRow, 15> kPlainRows = {{
    {"iperf3_sent_seconds", "Time that the sender spent sending, in seconds.", When::kAlways,
     &DirectionMeasurement::sent_seconds, 1},
    {"iperf3_sent_bytes", "Bytes that the sender sent, over all streams.", When::kAlways,
     &DirectionMeasurement::sent_bytes, 1},
    {"iperf3_received_seconds", "Time that the receiver spent receiving, in seconds.",
     When::kAlways, &DirectionMeasurement::received_seconds, 1},
    {"iperf3_received_bytes", "Bytes that the receiver received, over all streams.", When::kAlways,
     &DirectionMeasurement::received_bytes, 1},
    {"iperf3_retransmits", "TCP segments that the sender sent again.", When::kTcp,
     &DirectionMeasurement::retransmits, 1},
    {"iperf3_sent_packets", "Datagrams that the sender sent.", When::kUdp,
     &DirectionMeasurement::sent_packets, 1},
    {"iperf3_received_packets", "Datagrams that arrived.", When::kUdp,
     &DirectionMeasurement::received_packets, 1},
    {"iperf3_lost_packets", "Datagrams that did not arrive.", When::kUdp,
     &DirectionMeasurement::lost_packets, 1},
    {"iperf3_lost_percent", "Share of the datagrams that did not arrive, 0 to 100.", When::kUdp,
     &DirectionMeasurement::lost_ratio, 100},
    {"iperf3_sent_jitter_ms", "Jitter as the receiver measured it, in milliseconds.", When::kUdp,
     &DirectionMeasurement::jitter_seconds, 1000},
    {"iperf3_received_jitter_ms", "Jitter as the receiver measured it, in milliseconds.",
     When::kUdp, &DirectionMeasurement::jitter_seconds, 1000},
    {"iperf3_sent_lost_packets", "Datagrams that were sent and did not arrive.", When::kUdp,
     &DirectionMeasurement::lost_packets, 1},
    {"iperf3_sent_lost_percent", "Share of the sent datagrams that did not arrive, 0 to 100.",
     When::kUdp, &DirectionMeasurement::lost_ratio, 100},
    {"iperf3_received_lost_packets", "Datagrams that the receiver missed.", When::kUdp,
     &DirectionMeasurement::lost_packets, 1},
    {"iperf3_received_lost_percent", "Share of the datagrams that the receiver missed, 0 to 100.",
     When::kUdp, &DirectionMeasurement::lost_ratio, 100},
}};

// A metric that has the direction in its name.
struct NamedRow {
  std::string_view upload_name;
  std::string_view upload_help;
  std::string_view download_name;
  std::string_view download_help;
  When when;
  Field field;
  double scale;
};

constexpr std::array<NamedRow, 3> kNamedRows = {{
    {"iperf3_bandwidth_upload_mbps", "Rate at which the server received, in 10^6 bits per second.",
     "iperf3_bandwidth_download_mbps", "Rate at which this host received, in 10^6 bits per second.",
     When::kAlways, &DirectionMeasurement::received_bits_per_second, kMegabitsPerBit},
    {"iperf3_latency_upload_ms", "Mean TCP round-trip time while uploading, in milliseconds.",
     "iperf3_latency_download_ms", "Mean TCP round-trip time while downloading, in milliseconds.",
     When::kTcp, &DirectionMeasurement::mean_rtt_seconds, 1000},
    {"iperf3_packet_loss_upload_percent", "Share of the uploaded datagrams lost, 0 to 100.",
     "iperf3_packet_loss_download_percent", "Share of the downloaded datagrams lost, 0 to 100.",
     When::kUdp, &DirectionMeasurement::lost_ratio, 100},
}};

// A family in base units with the label `direction`, one sample per field.
struct LabelledField {
  std::string_view label_value;  // empty: no further label
  Field field;
};
struct LabelledRow {
  std::string_view name;
  std::string_view help;
  When when;
  std::string_view label_name;
  std::array<LabelledField, 3> fields;
  std::size_t field_count;
};

constexpr std::array<LabelledRow, 5> kLabelledRows = {{
    {"iperf3_bits_per_second",
     "Rate over all streams, as the sender and as the receiver counted it.",
     When::kAlways,
     "side",
     {{{"sender", &DirectionMeasurement::sent_bits_per_second},
       {"receiver", &DirectionMeasurement::received_bits_per_second}}},
     2},
    {"iperf3_rtt_seconds",
     "TCP round-trip time over the streams, as the sender's kernel measured it.",
     When::kTcp,
     "stat",
     {{{"min", &DirectionMeasurement::min_rtt_seconds},
       {"mean", &DirectionMeasurement::mean_rtt_seconds},
       {"max", &DirectionMeasurement::max_rtt_seconds}}},
     3},
    {"iperf3_jitter_seconds",
     "Jitter as the receiver measured it.",
     When::kUdp,
     "",
     {{{"", &DirectionMeasurement::jitter_seconds}}},
     1},
    {"iperf3_lost_ratio",
     "Share of the datagrams that did not arrive, 0 to 1.",
     When::kUdp,
     "",
     {{{"", &DirectionMeasurement::lost_ratio}}},
     1},
    {"iperf3_max_congestion_window_bytes",
     "Largest congestion window of the sender's streams.",
     When::kTcp,
     "",
     {{{"", &DirectionMeasurement::max_congestion_window_bytes}}},
     1},
}};

// `value` times `scale`. Where a decimal of 15 digits or fewer (what iperf3 printed, mostly) is
// what gave `value`, that decimal is given back, so that 0.123 ms does not come out as
// 0.12300000000000001.
double Scaled(double value, double scale) {
  if (scale == 1) return value;
  // 1e-6 is no double; 1e6 is, and dividing by it rounds once.
  if (scale == kMegabitsPerBit) return value / 1e6;
  const double product = value * scale;
  char buffer[40];
  const auto printed =
      std::to_chars(buffer, buffer + sizeof buffer, product, std::chars_format::general, 15);
  double decimal = product;
  std::from_chars(buffer, printed.ptr, decimal);
  return decimal / scale == value ? decimal : product;
}

// Writes each sample at once: a page has two dozen families, and building them first costs twice as
// much.
class ProbePage {
 public:
  ProbePage(const ProbeReport& report, FailureValues failure_values, ExpositionFormat format,
            std::string& text)
      : report_(report), failure_values_(failure_values), format_(format), text_(text) {
    family_.type = prometheus::MetricType::Gauge;
    metric_.label = {{"target", report.target}, {"port", std::to_string(report.port)}};
  }

  void Append() {
    Add("iperf3_up", "Whether the test succeeded: 1 or 0.", report_.result ? 1 : 0);
    if (report_.result || failure_values_ == FailureValues::kZero) AddPlain();
    if (report_.result) AddResults();
    if (report_.result || failure_values_ == FailureValues::kZero) AddAboutProbe();
    if (!report_.result) {
      Begin("iperf3_probe_failure", "1, with the reason why the test failed.");
      Sample(1, {{"reason", Name(report_.result.error().reason)}});
    }
  }

 private:
  struct Label {
    std::string_view name;
    std::string_view value;
  };

  // A family of which nothing is written before its first sample.
  void Begin(std::string_view name, std::string_view help) {
    family_.name = name;
    family_.help = help;
    head_written_ = false;
  }

  // One of that family, with these labels behind target and port. One without a name is left out.
  void Sample(double value, std::initializer_list<Label> more = {}) {
    if (!head_written_) AppendFamilyHead(family_, format_, text_);
    head_written_ = true;
    metric_.label.resize(2);
    for (const Label& label : more) {
      if (label.name.empty()) continue;
      metric_.label.push_back({std::string(label.name), std::string(label.value)});
    }
    metric_.gauge.value = value;
    AppendMetric(family_, metric_, format_, text_);
  }

  void Add(std::string_view name, std::string_view help, double value) {
    Begin(name, help);
    Sample(value);
  }

  bool Applies(When when) const {
    const bool udp = report_.test.protocol == Protocol::kUdp;
    return when == When::kAlways || (when == When::kUdp) == udp;
  }

  const std::optional<DirectionMeasurement>& Of(Direction direction) const {
    return direction == Direction::kUpload ? report_.result->upload : report_.result->download;
  }

  // The directions that were tested: one, or upload and download.
  std::span<const Direction> Directions() const {
    static constexpr std::array kBoth = {Direction::kUpload, Direction::kDownload};
    if (report_.test.direction == Direction::kBidirectional) return kBoth;
    return {&report_.test.direction, 1};
  }

  static std::string_view DirectionName(Direction direction) {
    return direction == Direction::kUpload ? "upload" : "download";
  }

  std::optional<double> Value(Direction direction, Field field, double scale) const {
    const auto& measured = Of(direction);
    if (!measured || !((*measured).*field)) return std::nullopt;
    return Scaled(*((*measured).*field), scale);
  }

  void AddPlain() {
    const bool both = report_.test.direction == Direction::kBidirectional;
    for (const PlainRow& row : kPlainRows) {
      if (!Applies(row.when)) continue;
      Begin(row.name, row.help);
      for (const Direction direction : Directions()) {
        const std::optional<double> value =
            report_.result ? Value(direction, row.field, row.scale) : 0;
        if (value) Sample(*value, {{both ? "direction" : "", DirectionName(direction)}});
      }
    }
  }

  void AddResults() {
    for (const NamedRow& row : kNamedRows) {
      if (!Applies(row.when)) continue;
      for (const Direction direction : Directions()) {
        const bool upload = direction == Direction::kUpload;
        const auto value = Value(direction, row.field, row.scale);
        if (!value) continue;
        Add(upload ? row.upload_name : row.download_name,
            upload ? row.upload_help : row.download_help, *value);
      }
    }
    for (const LabelledRow& row : kLabelledRows) {
      if (Applies(row.when)) AddLabelled(row);
    }
    AddProcessor();
  }

  void AddLabelled(const LabelledRow& row) {
    Begin(row.name, row.help);
    for (const Direction direction : Directions()) {
      for (std::size_t i = 0; i < row.field_count; ++i) {
        const LabelledField& field = row.fields[i];
        const auto value = Value(direction, field.field, 1);
        if (!value) continue;
        Sample(*value,
               {{"direction", DirectionName(direction)}, {row.label_name, field.label_value}});
      }
    }
  }

  void AddProcessor() {
    Begin("iperf3_cpu_utilization_ratio",
          "Processor time per time of the test; 1 is one processor.");
    const auto add = [&](const char* host, const char* mode, std::optional<double> value) {
      if (value) Sample(*value, {{"host", host}, {"mode", mode}});
    };
    for (const bool local : {true, false}) {
      const CpuUtilization& cpu = local ? report_.result->local_cpu : report_.result->remote_cpu;
      const char* const host = local ? "local" : "remote";
      add(host, "total", cpu.total);
      add(host, "user", cpu.user);
      add(host, "system", cpu.system);
    }
  }

  void AddAboutProbe() {
    Add("iperf3_streams", "Parallel streams of the test.", report_.test.parallel);
    Add("iperf3_test_period_seconds", "Length of the test as it was run.",
        report_.test.period_seconds);
    Add("iperf3_probe_duration_seconds", "Time from the request to its answer.",
        ToSeconds(report_.duration));
    Add("iperf3_lock_wait_seconds", "Time that the probe waited for the lock.",
        ToSeconds(report_.lock_wait));
    Add("iperf3_probe_attempts", "Tests that were started for this probe.", report_.attempts);
  }

  const ProbeReport& report_;
  const FailureValues failure_values_;
  const ExpositionFormat format_;
  std::string& text_;
  prometheus::MetricFamily family_;  // without its samples
  prometheus::ClientMetric metric_;  // the latest of them
  bool head_written_ = false;
};

}  // namespace

std::string BuildProbePage(const ProbeReport& report, FailureValues failure_values,
                           ExpositionFormat format) {
  constexpr std::size_t kUsualPageBytes = 6144;
  std::string page;
  page.reserve(kUsualPageBytes);
  ProbePage(report, failure_values, format, page).Append();
  AppendEnd(format, page);
  return page;
}

}  // namespace iperf3_exporter
