// Reports and states that the tests of the pages share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/http/http_types.h"

namespace iperf3_exporter {

[[nodiscard]] inline DirectionMeasurement SampleTcpDirection() {
  DirectionMeasurement tcp;
  tcp.sent_seconds = 5.000069;
  tcp.sent_bytes = 3145728000;
  tcp.sent_bits_per_second = 5033095262.92;
  tcp.received_seconds = 5.000512;
  tcp.received_bytes = 3145597000;
  tcp.received_bits_per_second = 5032439884.07;
  tcp.retransmits = 17;
  tcp.min_rtt_seconds = 11e-6;
  tcp.mean_rtt_seconds = 123e-6;
  tcp.max_rtt_seconds = 456e-6;
  tcp.max_congestion_window_bytes = 3145728;
  return tcp;
}

[[nodiscard]] inline DirectionMeasurement SampleUdpDirection() {
  DirectionMeasurement udp;
  udp.sent_seconds = 1.0001;
  udp.sent_bytes = 131072;
  udp.sent_bits_per_second = 1048471.15;
  udp.received_seconds = 1.0002;
  udp.received_bytes = 124518;
  udp.received_bits_per_second = 995945;
  udp.sent_packets = 100;
  udp.received_packets = 95;
  udp.lost_packets = 5;
  udp.lost_ratio = 0.05;
  udp.jitter_seconds = 0.0123456 / 1000;
  return udp;
}

[[nodiscard]] inline ProbeReport SampleReport(Protocol protocol, Direction direction) {
  ProbeReport report;
  report.target = "[2001:db8::1]";
  report.port = 5201;
  report.test.protocol = protocol;
  report.test.direction = direction;
  report.test.parallel = 2;
  report.test.period_seconds = 5;
  report.requested_period_seconds = 6;
  report.attempts = 1;
  report.duration = std::chrono::milliseconds(5034);
  report.lock_wait = std::chrono::microseconds(1500);
  const DirectionMeasurement measured =
      protocol == Protocol::kTcp ? SampleTcpDirection() : SampleUdpDirection();
  Measurement& measurement = *report.result;
  if (direction != Direction::kDownload) measurement.upload = measured;
  if (direction != Direction::kUpload) measurement.download = measured;
  if (direction == Direction::kBidirectional) measurement.download->sent_bytes = 42;
  measurement.local_cpu = {0.5, 0.125, 0.375};
  measurement.remote_cpu = {1.25, 0.25, 1};
  return report;
}

[[nodiscard]] inline ProbeReport SampleFailure(Protocol protocol, Direction direction) {
  ProbeReport report = SampleReport(protocol, direction);
  report.result = tl::unexpected(TestFailure{FailureReason::kConnectionRefused, ""});
  report.test.period_seconds = 0;
  return report;
}

[[nodiscard]] inline LiveState SampleState() {
  LiveState state;
  state.probes_in_flight = 2;
  state.queue_length = 3;
  state.workers = {0, 2, 2, 0};
  state.reloads = {{{"web", true, 1700000000.25}, {"config", true, 1700000001}}};
  state.sandbox.emplace();
  state.sandbox->worker.fill(LayerState::kEnabled);
  state.sandbox->iperf3.fill(LayerState::kEnabled);
  state.sandbox->iperf3[static_cast<std::size_t>(SandboxLayer::kNamespaces)] = LayerState::kMissing;
  return state;
}

[[nodiscard]] inline HttpStatistics SampleHttp() {
  HttpStatistics http;
  http.connections = 4;
  http.connections_rejected = 1;
  http.requests = {
      {{"/metrics", 200}, 10}, {{"/probe", 200}, 5}, {{"/probe", 400}, 1}, {{"other", 404}, 2}};
  return http;
}

}  // namespace iperf3_exporter
