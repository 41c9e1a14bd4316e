// The numbers of a report that matter, as iperf3 printed them. What they mean together is decided
// in measurement_builder.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace iperf3_exporter {

// Every member is absent when the report lacks it, or has null or no number there.

// Sums over all streams of one direction, by one side.
struct SumValues {
  std::optional<double> seconds;
  std::optional<double> bytes;
  std::optional<double> bits_per_second;
  std::optional<double> retransmits;
  std::optional<double> jitter_ms;
  std::optional<double> lost_packets;
  std::optional<double> packets;
};

// end.streams[].sender; round-trip times in microseconds.
struct StreamValues {
  std::optional<double> max_congestion_window;
  std::optional<double> max_rtt;
  std::optional<double> min_rtt;
  std::optional<double> mean_rtt;
};

// In percent of one processor.
struct CpuValues {
  std::optional<double> host_total;
  std::optional<double> host_user;
  std::optional<double> host_system;
  std::optional<double> remote_total;
  std::optional<double> remote_user;
  std::optional<double> remote_system;
};

struct DirectionSums {
  std::optional<SumValues> total;  // `sum`, UDP only; its bytes and packets are the sender's
  std::optional<SumValues> sent;
  std::optional<SumValues> received;

  [[nodiscard]] bool HasBothSides() const { return sent && received; }
};

// Over the streams on which this host sends, if it does; round-trip times in microseconds.
struct StreamTotals {
  std::optional<double> max_congestion_window;
  std::optional<double> max_rtt;
  std::optional<double> min_rtt;
  double sum_of_mean_rtts = 0;
  int mean_rtts = 0;
  std::uint32_t implausible_values = 0;
};

struct ReportValues {
  DirectionSums forward;
  DirectionSums reverse;
  CpuValues cpu;
  std::size_t stream_count = 0;
  StreamTotals sending;
};

}  // namespace iperf3_exporter
