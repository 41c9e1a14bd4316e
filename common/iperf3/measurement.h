// What one test measured, in base units. A value that iperf3 did not report, or that it cannot have
// measured, is absent. Nothing is estimated.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace iperf3_exporter {

// One direction of a test, over all its streams. The sender reports "sent", the receiver
// "received".
struct DirectionMeasurement {
  std::optional<double> sent_seconds;
  std::optional<double> sent_bytes;
  std::optional<double> sent_bits_per_second;
  std::optional<double> received_seconds;
  std::optional<double> received_bytes;
  std::optional<double> received_bits_per_second;
  // TCP. The server reports its retransmits too. Round-trip times and the congestion window are
  // known to the sender's kernel only, so they are absent for a download. (A receiving socket has a
  // round-trip time as well, but not of the data.)
  std::optional<double> retransmits;
  std::optional<double> min_rtt_seconds;   // minimum over the streams
  std::optional<double> mean_rtt_seconds;  // mean of the streams' means
  std::optional<double> max_rtt_seconds;   // maximum over the streams
  std::optional<double> max_congestion_window_bytes;
  // UDP. Packets are counted by bytes and jitter is the receiver's. Lost packets are the gaps that
  // the receiver saw in the sequence numbers, or all that it did not receive if at the end more is
  // missing than can have been on its way (worker/iperf3/udp_loss.h). So sent_packets may exceed
  // received_packets + lost_packets. Before 3.11 iperf3 does not report what was received: all
  // packets without a gap count as received.
  std::optional<double> sent_packets;
  std::optional<double> received_packets;
  std::optional<double> lost_packets;
  std::optional<double> lost_ratio;  // of lost and received ones, 0 to 1; total loss is 1
  std::optional<double> jitter_seconds;

  bool operator==(const DirectionMeasurement&) const = default;
};

// Share of one processor, 0 to 1 per processor used (so above 1 with threads).
struct CpuUtilization {
  std::optional<double> total;
  std::optional<double> user;
  std::optional<double> system;

  bool operator==(const CpuUtilization&) const = default;
};

struct Measurement {
  // Present when that direction was tested.
  std::optional<DirectionMeasurement> upload;    // this host to the server
  std::optional<DirectionMeasurement> download;  // the server to this host
  CpuUtilization local_cpu;
  CpuUtilization remote_cpu;
  // How many numbers of iperf3's are absent above because it cannot have measured them.
  std::uint32_t implausible_values = 0;

  bool operator==(const Measurement&) const = default;
};

// One row per number of a DirectionMeasurement with its maximum; the minimum is 0. The report
// parser drops a value out of range, the wire refuses it.
struct DirectionField {
  std::optional<double> DirectionMeasurement::*member;
  double max;
};

// The largest double below 2^63: iperf3 counts in 64 bits, and a negative number from its peer
// wraps to 2^63 or more.
inline constexpr double kMaxCount = 9223372036854774784.0;
inline constexpr double kMaxSeconds = 2 * 86400.0;      // twice iperf3's longest test
inline constexpr double kMaxRttSeconds = 4294.967296;   // 32 bits of microseconds in iperf3
inline constexpr double kMaxBitsPerSecond = kMaxCount;  // far above any link
// 128 streams in each direction, one thread each, and the main thread; with a margin.
inline constexpr double kMaxCpuRatio = 260.0;

inline constexpr std::array<DirectionField, 16> kDirectionFields = {{
    {&DirectionMeasurement::sent_seconds, kMaxSeconds},
    {&DirectionMeasurement::sent_bytes, kMaxCount},
    {&DirectionMeasurement::sent_bits_per_second, kMaxBitsPerSecond},
    {&DirectionMeasurement::received_seconds, kMaxSeconds},
    {&DirectionMeasurement::received_bytes, kMaxCount},
    {&DirectionMeasurement::received_bits_per_second, kMaxBitsPerSecond},
    {&DirectionMeasurement::retransmits, kMaxCount},
    {&DirectionMeasurement::min_rtt_seconds, kMaxRttSeconds},
    {&DirectionMeasurement::mean_rtt_seconds, kMaxRttSeconds},
    {&DirectionMeasurement::max_rtt_seconds, kMaxRttSeconds},
    {&DirectionMeasurement::max_congestion_window_bytes, kMaxCount},
    {&DirectionMeasurement::sent_packets, kMaxCount},
    {&DirectionMeasurement::received_packets, kMaxCount},
    {&DirectionMeasurement::lost_packets, kMaxCount},
    {&DirectionMeasurement::lost_ratio, 1.0},
    {&DirectionMeasurement::jitter_seconds, kMaxSeconds},
}};

}  // namespace iperf3_exporter
