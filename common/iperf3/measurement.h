// What one test measured, in base units. A value that iperf3 did not give, or that
// it could not have measured, is absent; nothing is estimated.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace iperf3_exporter {

// One direction of a test, over all its streams. "sent" is what the sender says it
// sent, "received" what the receiver says it got.
struct DirectionMeasurement {
  std::optional<double> sent_seconds;
  std::optional<double> sent_bytes;
  std::optional<double> sent_bits_per_second;
  std::optional<double> received_seconds;
  std::optional<double> received_bytes;
  std::optional<double> received_bits_per_second;
  // TCP. Retransmits are the sender's, which the server reports too. Round-trip times and the
  // congestion window are what the sender's kernel measured: known where the sender is this host,
  // so absent for a download. (A receiving socket has a round-trip time as well, of the little
  // that it sent itself: not of the data.)
  std::optional<double> retransmits;
  std::optional<double> min_rtt_seconds;   // least over the streams
  std::optional<double> mean_rtt_seconds;  // mean of the streams' means
  std::optional<double> max_rtt_seconds;   // largest over the streams
  std::optional<double> max_congestion_window_bytes;
  // UDP; jitter and loss are the receiver's: the loss is what it missed of the packets that it knew
  // of. The last ones of a test, when they are lost, it never knew of; so sent_packets may
  // be more than received and lost together. Before 3.11 iperf3 gives no count of the
  // receiver's: the loss is then out of the packets sent.
  std::optional<double> sent_packets;
  std::optional<double> received_packets;  // arrived
  std::optional<double> lost_packets;
  std::optional<double> lost_ratio;  // 0 to 1; total loss is 1
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
  // Numbers that iperf3 printed and could not have measured; left out above.
  std::uint32_t implausible_values = 0;

  bool operator==(const Measurement&) const = default;
};

// One row per number of a DirectionMeasurement: the largest value that can be true.
// The least is 0 everywhere. The report parser leaves out what lies outside, the
// wire refuses it.
struct DirectionField {
  std::optional<double> DirectionMeasurement::*member;
  double max;
};

// The largest double below 2^63: iperf3 counts in 64 bits, and a negative number from
// its peer wraps to 2^63 or more. Seconds: a day of test (iperf3's own bound) and
// a day of grace. Round trip: iperf3 has it in 32 bits of microseconds. Rate: far above
// any link.
inline constexpr double kMaxCount = 9223372036854774784.0;
inline constexpr double kMaxSeconds = 2 * 86400.0;
inline constexpr double kMaxRttSeconds = 4294.967296;
inline constexpr double kMaxBitsPerSecond = kMaxCount;
// iperf3 gives jitter in milliseconds; more than an hour is not jitter.
inline constexpr double kMaxJitterSeconds = 3600.0;
// 128 streams, one thread each, and iperf3's own.
inline constexpr double kMaxCpuRatio = 130.0;

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
    {&DirectionMeasurement::jitter_seconds, kMaxJitterSeconds},
}};

}  // namespace iperf3_exporter
