#include "worker/iperf3/measurement_builder.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace iperf3_exporter {
namespace {

// Sorts what can't be true from what is not given.
class Plausible {
 public:
  explicit Plausible(std::uint32_t& implausible) : implausible_(implausible) {}

  // `value` over `divisor`, if that is within 0 to `max`.
  std::optional<double> Keep(double value, double max, double divisor = 1) {
    if (std::isnan(value)) return std::nullopt;
    const double scaled = value / divisor;
    if (!(scaled >= 0 && scaled <= max)) {
      ++implausible_;
      return std::nullopt;
    }
    return scaled + 0.0;  // -0 is 0
  }

 private:
  std::uint32_t& implausible_;
};

constexpr double kMicroseconds = 1e6;
constexpr double kMilliseconds = 1e3;
constexpr double kPercent = 100;

// A rate is bytes over seconds: unknown when one of them is.
std::optional<double> KeepRate(Plausible& plausible, const SumValues& sum,
                               const std::optional<double>& seconds,
                               const std::optional<double>& bytes) {
  const auto rate = plausible.Keep(sum.Get(SumField::kBitsPerSecond), kMaxBitsPerSecond);
  return seconds && bytes ? rate : std::nullopt;
}

void BuildSent(Plausible& plausible, const SumValues& sum, DirectionMeasurement& to) {
  to.sent_seconds = plausible.Keep(sum.Get(SumField::kSeconds), kMaxSeconds);
  to.sent_bytes = plausible.Keep(sum.Get(SumField::kBytes), kMaxCount);
  to.sent_bits_per_second = KeepRate(plausible, sum, to.sent_seconds, to.sent_bytes);
}

void BuildReceived(Plausible& plausible, const SumValues& sum, DirectionMeasurement& to) {
  to.received_seconds = plausible.Keep(sum.Get(SumField::kSeconds), kMaxSeconds);
  to.received_bytes = plausible.Keep(sum.Get(SumField::kBytes), kMaxCount);
  to.received_bits_per_second = KeepRate(plausible, sum, to.received_seconds, to.received_bytes);
}

// Jitter and lost packets as the receiver has them, and what arrived of `expected` packets.
void BuildLoss(Plausible& plausible, const SumValues& sum, DirectionMeasurement& to) {
  to.jitter_seconds =
      plausible.Keep(sum.Get(SumField::kJitterMilliseconds), kMaxJitterSeconds, kMilliseconds);
  to.lost_packets = plausible.Keep(sum.Get(SumField::kLostPackets), kMaxCount);
  const auto expected = plausible.Keep(sum.Get(SumField::kPackets), kMaxCount);
  if (!expected || !to.lost_packets) return;
  to.received_packets = plausible.Keep(*expected - *to.lost_packets, kMaxCount);
  // More lost than there were: neither number can be believed.
  if (!to.received_packets) {
    to.lost_packets = std::nullopt;
    return;
  }
  to.lost_ratio = *expected > 0 ? *to.lost_packets / *expected : 0.0;
}

void SetTotalLoss(DirectionMeasurement& to) {
  to.received_packets = 0;
  to.lost_packets = to.sent_packets;
  to.lost_ratio = 1;
  to.jitter_seconds = std::nullopt;
}

// UDP from 3.11 on. The received sum has the receiver's own lost packets and packets; its
// `lost_percent` does not: that is the losses over what the sender sent, of which the last may
// never have been missed by the receiver. A receiver that got nothing knows of no loss and says 0.
void BuildUdp(Plausible& plausible, const SumValues& sent, const SumValues& received,
              DirectionMeasurement& to) {
  BuildSent(plausible, sent, to);
  BuildReceived(plausible, received, to);
  to.sent_packets = plausible.Keep(sent.Get(SumField::kPackets), kMaxCount);
  BuildLoss(plausible, received, to);
  if (to.sent_packets > 0 && to.received_packets == 0) SetTotalLoss(to);
}

std::optional<double> RateOf(const std::optional<double>& bytes,
                             const std::optional<double>& seconds) {
  if (!bytes || !(seconds > 0)) return std::nullopt;
  const double rate = *bytes * 8 / *seconds;
  return rate <= kMaxBitsPerSecond ? std::optional(rate) : std::nullopt;
}

// With fewer packets a jitter of exactly 0 may be true.
constexpr double kLeastPacketsWithJitter = 4;

// UDP up to 3.10 has one sum: bytes, packets and rate are the sender's, lost packets, jitter and
// seconds the receiver's. What arrived follows from it, because all packets of a test have one
// size; the sender's seconds follow from its rate. How many packets the receiver knew of is
// nowhere: the loss is out of those sent. Total loss can only be told by the jitter, which is
// exactly 0 when nothing arrived.
void BuildUdpFromTotal(Plausible& plausible, const SumValues& total, DirectionMeasurement& to) {
  to.sent_bytes = plausible.Keep(total.Get(SumField::kBytes), kMaxCount);
  to.sent_packets = plausible.Keep(total.Get(SumField::kPackets), kMaxCount);
  to.sent_bits_per_second = plausible.Keep(total.Get(SumField::kBitsPerSecond), kMaxBitsPerSecond);
  to.received_seconds = plausible.Keep(total.Get(SumField::kSeconds), kMaxSeconds);
  if (to.sent_bytes && to.sent_bits_per_second > 0) {
    to.sent_seconds = plausible.Keep(*to.sent_bytes * 8 / *to.sent_bits_per_second, kMaxSeconds);
  }
  BuildLoss(plausible, total, to);
  if (to.sent_packets > 0 && to.lost_packets == 0 && to.jitter_seconds == 0) {
    if (to.sent_packets >= kLeastPacketsWithJitter) {
      SetTotalLoss(to);
    } else {
      to.received_packets = to.lost_packets = to.lost_ratio = to.jitter_seconds = std::nullopt;
    }
  }
  if (!to.received_packets || !to.sent_bytes || !(to.sent_packets > 0)) return;
  to.received_bytes = *to.sent_bytes * *to.received_packets / *to.sent_packets;
  to.received_bits_per_second = RateOf(to.received_bytes, to.received_seconds);
}

// Exchanges what was taken for the two sides' seconds; the rates follow from them.
void ExchangeSeconds(DirectionMeasurement& direction) {
  std::swap(direction.sent_seconds, direction.received_seconds);
  direction.sent_bits_per_second = RateOf(direction.sent_bytes, direction.sent_seconds);
  direction.received_bits_per_second = RateOf(direction.received_bytes, direction.received_seconds);
}

// A bidirectional test's client prints the forward sums' seconds, the sender's (its own clock)
// and the receiver's (the server's), in the reverse sums too, where they belong to the other
// side, and computes the rates with them; all versions up to 3.18 do. One that gave each
// direction its own would not repeat both. One that repeats this host's alone, as the
// server's, can't be explained: nothing is known.
void PutReverseSecondsRight(const DirectionMeasurement& forward, DirectionMeasurement& reverse) {
  if (reverse.sent_seconds != forward.sent_seconds) return;
  if (reverse.received_seconds != forward.received_seconds) {
    reverse.sent_seconds = reverse.received_seconds = std::nullopt;
  }
  ExchangeSeconds(reverse);
}

std::optional<DirectionMeasurement> BuildDirection(const ReportSums& sums, Protocol protocol,
                                                   std::uint32_t& implausible) {
  Plausible plausible(implausible);
  DirectionMeasurement direction;
  const bool both = sums.has_sent && sums.has_received;
  if (protocol == Protocol::kTcp) {
    if (!both) return std::nullopt;
    BuildSent(plausible, sums.sent, direction);
    BuildReceived(plausible, sums.received, direction);
    direction.retransmits = plausible.Keep(sums.sent.Get(SumField::kRetransmits), kMaxCount);
  } else if (both) {
    BuildUdp(plausible, sums.sent, sums.received, direction);
  } else if (sums.has_total) {
    BuildUdpFromTotal(plausible, sums.total, direction);
  } else {
    return std::nullopt;
  }
  return direction;
}

// From the streams on which this host sends. The others tell nothing of the direction of their
// data: what their `sender` object holds is of this host's end. A zero is iperf3's way to say that
// it has no such number: no round trip takes no time and no window is empty.
void BuildStreams(std::span<const StreamValues> sending, DirectionMeasurement& upload,
                  std::uint32_t& implausible) {
  Plausible plausible(implausible);
  double mean_total = 0;
  int means = 0;
  for (const StreamValues& stream : sending) {
    const auto rtt = [&](StreamField field) {
      return plausible.Keep(stream.Get(field), kMaxRttSeconds, kMicroseconds);
    };
    if (const auto least = rtt(StreamField::kMinRtt); least > 0) {
      upload.min_rtt_seconds = std::min(upload.min_rtt_seconds.value_or(*least), *least);
    }
    if (const auto mean = rtt(StreamField::kMeanRtt); mean > 0) {
      mean_total += *mean;
      ++means;
    }
    if (const auto most = rtt(StreamField::kMaxRtt); most > 0) {
      upload.max_rtt_seconds = std::max(upload.max_rtt_seconds.value_or(*most), *most);
    }
    const auto window = plausible.Keep(stream.Get(StreamField::kMaxCongestionWindow), kMaxCount);
    if (window > 0) {
      auto& largest = upload.max_congestion_window_bytes;
      largest = std::max(largest.value_or(*window), *window);
    }
  }
  if (means > 0) upload.mean_rtt_seconds = std::min(mean_total / means, kMaxRttSeconds);
}

}  // namespace

bool BuildMeasurement(const ReportValues& values, Protocol protocol, Direction direction,
                      Measurement& to) {
  if (values.HasTooManyStreams()) return false;
  std::uint32_t& implausible = to.implausible_values;
  const auto forward = BuildDirection(values.forward(), protocol, implausible);
  if (!forward) return false;
  (direction == Direction::kDownload ? to.download : to.upload) = forward;
  if (direction == Direction::kBidirectional) {
    to.download = BuildDirection(values.reverse(), protocol, implausible);
    if (!to.download) return false;
    if (values.reverse().IsTotalOnly()) {
      ExchangeSeconds(*to.download);  // always so where there is one sum
    } else {
      PutReverseSecondsRight(*to.upload, *to.download);
    }
  }
  if (protocol == Protocol::kTcp && to.upload) {
    const std::span<const StreamValues> streams = values.streams();
    // iperf3 makes the streams that it sends on first, then as many to receive on.
    const std::size_t sending =
        direction == Direction::kBidirectional ? streams.size() / 2 : streams.size();
    BuildStreams(streams.first(sending), *to.upload, implausible);
  }
  Plausible plausible(implausible);
  const auto ratio = [&](CpuField field) {
    return plausible.Keep(values.cpu.Get(field), kMaxCpuRatio, kPercent);
  };
  to.local_cpu = {ratio(CpuField::kHostTotal), ratio(CpuField::kHostUser),
                  ratio(CpuField::kHostSystem)};
  to.remote_cpu = {ratio(CpuField::kRemoteTotal), ratio(CpuField::kRemoteUser),
                   ratio(CpuField::kRemoteSystem)};
  return true;
}

}  // namespace iperf3_exporter
