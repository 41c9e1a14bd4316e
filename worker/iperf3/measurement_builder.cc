#include "worker/iperf3/measurement_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "worker/iperf3/udp_loss.h"

namespace iperf3_exporter {
namespace {

using Number = std::optional<double>;

constexpr double kMicroseconds = 1e6;
constexpr double kMilliseconds = 1e3;
constexpr double kPercent = 100;

// Drops and counts numbers that iperf3 could not have measured.
class Plausible {
 public:
  explicit Plausible(std::uint32_t& implausible) : implausible_(implausible) {}

  // `value` if it is between 0 and `max`.
  Number Keep(Number value, double max) {
    if (!value) return std::nullopt;
    if (!(*value >= 0 && *value <= max)) {
      ++implausible_;
      return std::nullopt;
    }
    return *value + 0.0;  // turns -0 into 0
  }

  // The same for `value / divisor`.
  Number Keep(Number value, double max, double divisor) {
    return Keep(value ? Number(*value / divisor) : std::nullopt, max);
  }

 private:
  std::uint32_t& implausible_;
};

void BuildSide(Plausible& plausible, const SumValues& sum, Number& seconds, Number& bytes,
               Number& bits_per_second) {
  seconds = plausible.Keep(sum.seconds, kMaxSeconds);
  bytes = plausible.Keep(sum.bytes, kMaxCount);
  bits_per_second = plausible.Keep(sum.bits_per_second, kMaxBitsPerSecond);
  // A rate is bytes over seconds, so it is unknown when either of them is.
  if (!seconds || !bytes) bits_per_second = std::nullopt;
}

void BuildBothSides(Plausible& plausible, const DirectionSums& sums, DirectionMeasurement& to) {
  BuildSide(plausible, *sums.sent, to.sent_seconds, to.sent_bytes, to.sent_bits_per_second);
  BuildSide(plausible, *sums.received, to.received_seconds, to.received_bytes,
            to.received_bits_per_second);
}

// Transit times can't differ by more than the test lasted. (A peer up to 3.7 counts the difference
// of the clocks as the first packet's.)
Number KeepJitter(Plausible& plausible, Number milliseconds,
                  const DirectionMeasurement& direction) {
  const Number longest = std::max(direction.sent_seconds, direction.received_seconds);
  return plausible.Keep(milliseconds, longest.value_or(0), kMilliseconds);
}

void SetTotalLoss(DirectionMeasurement& to) {
  to.received_packets = 0;
  to.lost_packets = to.sent_packets;
  to.lost_ratio = 1;
  to.jitter_seconds = std::nullopt;
}

// All packets have the size of a block.
Number CountPackets(Plausible& plausible, Number bytes, Number block_bytes) {
  if (!bytes || !(block_bytes > 0)) return std::nullopt;
  return plausible.Keep(std::round(*bytes / *block_bytes), kMaxCount);
}

// iperf3 3.11 and newer.
void BuildPacketsOfDirection(Plausible& plausible, const DirectionSums& sums, Number block_bytes,
                             bool has_omit, DirectionMeasurement& to) {
  to.jitter_seconds = KeepJitter(plausible, sums.received->jitter_ms, to);
  const Number known = plausible.Keep(sums.received->packets, kMaxCount);
  const Number gaps = plausible.Keep(sums.received->lost_packets, kMaxCount);
  to.sent_packets = CountPackets(plausible, to.sent_bytes, block_bytes);
  to.received_packets = CountPackets(plausible, to.received_bytes, block_bytes);
  // Fewer bytes than half a packet are copies of the message that opens a stream.
  if (to.received_packets == 0) to.received_bytes = to.received_bits_per_second = 0;
  // Not packets of a test, which are numbered from 1: CheckMeasurement rejects them. (With omit a
  // side up to 3.13 subtracts the other side's omitted packets.)
  if (known == 0 && !has_omit) to.received_packets = 0;
  if (!to.sent_packets || !to.received_packets) return;
  if (to.sent_packets > 0 && to.received_packets == 0) return SetTotalLoss(to);
  if (!(to.sent_seconds > 0) || !(to.received_seconds > 0)) return;
  // With omit packets of the omitted seconds arrive in place of those on their way.
  const bool may_be_on_their_way = has_omit || *to.received_packets < *to.sent_packets;
  if (to.sent_seconds < kMaxInFlightSeconds && may_be_on_their_way) return;
  to.lost_packets = CountLostPackets({.sent = *to.sent_packets,
                                      .received = *to.received_packets,
                                      .sent_seconds = *to.sent_seconds,
                                      .received_seconds = *to.received_seconds,
                                      .known = known,
                                      .gaps = gaps,
                                      .has_omit = has_omit});
  const double total = *to.received_packets + *to.lost_packets;
  to.lost_ratio = total > 0 ? *to.lost_packets / total : 0.0;
}

bool HasBothSides(const DirectionSums& sums) { return sums.sent && sums.received; }

// Needs the seconds of each tested direction.
void BuildPackets(Plausible& plausible, const ReportValues& values, const TestOptions& test,
                  Measurement& measurement) {
  const DirectionSums* sums = &values.forward;
  for (auto* direction : {&measurement.upload, &measurement.download}) {
    if (!*direction) continue;
    if (HasBothSides(*sums)) {
      BuildPacketsOfDirection(plausible, *sums, values.block_bytes, test.omit_seconds != 0,
                              **direction);
    }
    sums = &values.reverse;
  }
}

Number ComputeRate(Number bytes, Number seconds) {
  if (!bytes || !(seconds > 0)) return std::nullopt;
  const double rate = *bytes * 8 / *seconds;
  return rate <= kMaxBitsPerSecond ? Number(rate) : std::nullopt;
}

// With fewer packets a jitter of exactly 0 can be real.
constexpr double kMinPacketsWithJitter = 4;

void BuildLossFromTotal(Plausible& plausible, const SumValues& total, DirectionMeasurement& to) {
  to.lost_packets = plausible.Keep(total.lost_packets, kMaxCount);
  if (!to.sent_packets || !to.lost_packets) return;
  to.received_packets = plausible.Keep(*to.sent_packets - *to.lost_packets, kMaxCount);
  if (!to.received_packets) {  // more lost than sent: neither number is reliable
    to.lost_packets = std::nullopt;
    return;
  }
  to.lost_ratio = *to.sent_packets > 0 ? *to.lost_packets / *to.sent_packets : 0.0;
}

// UDP up to 3.10 has one sum: bytes, packets and rate are the sender's; lost packets, jitter and
// seconds the receiver's. The sender's seconds follow from its rate, and the bytes received from
// the packets, which all have one size. The receiver's count of packets is not reported, so the
// loss is over the packets sent, and what was lost at the end is invisible. Only a jitter of
// exactly 0 distinguishes total loss from no loss.
void BuildUdpFromTotal(Plausible& plausible, const SumValues& total, DirectionMeasurement& to) {
  to.sent_bytes = plausible.Keep(total.bytes, kMaxCount);
  to.sent_packets = plausible.Keep(total.packets, kMaxCount);
  to.sent_bits_per_second = plausible.Keep(total.bits_per_second, kMaxBitsPerSecond);
  to.received_seconds = plausible.Keep(total.seconds, kMaxSeconds);
  if (to.sent_bytes && to.sent_bits_per_second > 0) {
    to.sent_seconds = plausible.Keep(*to.sent_bytes * 8 / *to.sent_bits_per_second, kMaxSeconds);
  }
  to.jitter_seconds = KeepJitter(plausible, total.jitter_ms, to);
  BuildLossFromTotal(plausible, total, to);
  if (to.sent_packets > 0 && to.lost_packets == 0 && to.jitter_seconds == 0) {
    if (to.sent_packets >= kMinPacketsWithJitter) {
      SetTotalLoss(to);
    } else {
      to.received_packets = to.lost_packets = to.lost_ratio = to.jitter_seconds = std::nullopt;
    }
  }
  if (!to.received_packets || !to.sent_bytes || !(to.sent_packets > 0)) return;
  to.received_bytes = *to.sent_bytes * *to.received_packets / *to.sent_packets;
  to.received_bits_per_second = ComputeRate(to.received_bytes, to.received_seconds);
}

// Swaps the two sides' seconds and recomputes the rates.
void SwapSeconds(DirectionMeasurement& direction) {
  std::swap(direction.sent_seconds, direction.received_seconds);
  direction.sent_bits_per_second = ComputeRate(direction.sent_bytes, direction.sent_seconds);
  direction.received_bits_per_second =
      ComputeRate(direction.received_bytes, direction.received_seconds);
}

// In a bidirectional test all versions up to 3.18 print the forward sums' seconds, this host's as
// the sender's and the server's as the receiver's, in the reverse sums too, where the server is the
// sender, and compute the rates with them. A version that printed each direction's own seconds
// would not repeat both. If only this host's seconds are repeated, both are unknown.
void CorrectReverseSeconds(const DirectionMeasurement& forward, DirectionMeasurement& reverse) {
  if (reverse.sent_seconds != forward.sent_seconds) return;
  if (reverse.received_seconds != forward.received_seconds) {
    reverse.sent_seconds = reverse.received_seconds = std::nullopt;
  }
  SwapSeconds(reverse);
}

// In so short a time a sender only fills its socket's buffer, and a peer that says that it took a
// nanosecond can't be contradicted.
void DropRatesOfShortTest(DirectionMeasurement& direction) {
  constexpr double kMinSeconds = 0.01;
  if (direction.sent_seconds < kMinSeconds) direction.sent_bits_per_second = std::nullopt;
  if (direction.received_seconds < kMinSeconds) direction.received_bits_per_second = std::nullopt;
}

std::optional<DirectionMeasurement> BuildDirection(Plausible& plausible, const DirectionSums& sums,
                                                   Protocol protocol) {
  DirectionMeasurement direction;
  if (HasBothSides(sums)) {
    BuildBothSides(plausible, sums, direction);
    if (protocol == Protocol::kTcp) {
      direction.retransmits = plausible.Keep(sums.sent->retransmits, kMaxCount);
    }
  } else if (protocol == Protocol::kUdp && sums.total) {
    BuildUdpFromTotal(plausible, *sums.total, direction);
  } else {
    return std::nullopt;
  }
  return direction;
}

// iperf3 prints 0 for a number of a stream that it does not have.
void BuildStreams(Plausible& plausible, const std::vector<StreamValues>& streams,
                  DirectionMeasurement& upload) {
  constexpr double kMaxRttMicroseconds = kMaxRttSeconds * kMicroseconds;
  const auto value_or_0 = [&plausible](Number value, double max) {
    return plausible.Keep(value, max).value_or(0);
  };
  double max_window = 0;
  double min_rtt = kMaxRttMicroseconds;
  double max_rtt = 0;
  double sum_of_mean_rtts = 0;
  int min_rtts = 0;
  int mean_rtts = 0;
  for (const StreamValues& stream : streams) {
    max_window = std::max(max_window, value_or_0(stream.max_congestion_window, kMaxCount));
    max_rtt = std::max(max_rtt, value_or_0(stream.max_rtt, kMaxRttMicroseconds));
    if (const double rtt = value_or_0(stream.min_rtt, kMaxRttMicroseconds); rtt > 0) {
      min_rtt = std::min(min_rtt, rtt);
      ++min_rtts;
    }
    if (const double rtt = value_or_0(stream.mean_rtt, kMaxRttMicroseconds); rtt > 0) {
      sum_of_mean_rtts += rtt;
      ++mean_rtts;
    }
  }
  if (max_window > 0) upload.max_congestion_window_bytes = max_window;
  if (min_rtts > 0) upload.min_rtt_seconds = min_rtt / kMicroseconds;
  if (max_rtt > 0) upload.max_rtt_seconds = max_rtt / kMicroseconds;
  if (mean_rtts > 0) upload.mean_rtt_seconds = sum_of_mean_rtts / mean_rtts / kMicroseconds;
}

CpuUtilization BuildCpu(Plausible& plausible, const CpuUtilization& percent) {
  const auto ratio = [&plausible](Number value) {
    return plausible.Keep(value, kMaxCpuRatio, kPercent);
  };
  return {ratio(percent.total), ratio(percent.user), ratio(percent.system)};
}

}  // namespace

std::optional<Measurement> BuildMeasurement(const ReportValues& values, const TestOptions& test) {
  Measurement measurement;
  Plausible plausible(measurement.implausible_values);
  const auto forward = BuildDirection(plausible, values.forward, test.protocol);
  if (!forward) return std::nullopt;
  (test.direction == Direction::kDownload ? measurement.download : measurement.upload) = forward;
  if (test.direction == Direction::kBidirectional) {
    measurement.download = BuildDirection(plausible, values.reverse, test.protocol);
    if (!measurement.download) return std::nullopt;
    if (HasBothSides(values.reverse)) {
      CorrectReverseSeconds(*measurement.upload, *measurement.download);
    } else {
      SwapSeconds(*measurement.download);  // a single sum always has the other side's seconds
    }
  }
  if (test.protocol == Protocol::kTcp && measurement.upload) {
    BuildStreams(plausible, values.sending, *measurement.upload);
  }
  if (test.protocol == Protocol::kUdp) BuildPackets(plausible, values, test, measurement);
  for (auto* direction : {&measurement.upload, &measurement.download}) {
    if (*direction) DropRatesOfShortTest(**direction);
  }
  measurement.local_cpu = BuildCpu(plausible, values.local_cpu_percent);
  measurement.remote_cpu = BuildCpu(plausible, values.remote_cpu_percent);
  return measurement;
}

}  // namespace iperf3_exporter
