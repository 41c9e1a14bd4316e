#include "worker/iperf3/udp_loss.h"

#include <algorithm>
#include <cmath>

namespace iperf3_exporter {
namespace {

// Packets that are in flight when the test ends are not lost. In a test of more than 20 s the limit
// is 1 %: a smaller difference between what the two sides count is not called loss.
constexpr double kMaxInFlightShare = 0.01;

double MaxPacketsInFlight(const UdpCounts& counts) {
  const double sender_extra_seconds = std::max(0.0, counts.sent_seconds - counts.received_seconds);
  return counts.sent * std::max(kMaxInFlightShare,
                                (kMaxInFlightSeconds + sender_extra_seconds) / counts.sent_seconds);
}

// Whether the gaps are known, agree with the bytes received and exclude the omitted packets. If
// every omitted packet was lost, the gaps include them and still agree with the bytes received.
// Then `known` exceeds what was sent.
bool AreGapsReliable(const UdpCounts& counts) {
  if (!counts.known || !counts.gaps) return false;
  if (*counts.known - *counts.gaps != counts.received) return false;
  return *counts.known <= counts.sent + MaxPacketsInFlight(counts);
}

double CountLossBeforeLastPacket(const UdpCounts& counts) {
  const auto& [sent, received, sent_seconds, received_seconds, known, gaps, has_omit] = counts;
  if (AreGapsReliable(counts)) return *gaps;
  if (!has_omit) return (known >= received && known <= sent ? *known : sent) - received;
  const double lost = std::round(sent * received_seconds / sent_seconds) - received;
  return gaps ? std::min(lost, *gaps) : lost;
}

}  // namespace

double CountLostPackets(const UdpCounts& counts) {
  const double missing = counts.sent - counts.received;
  const double lost = CountLossBeforeLastPacket(counts);
  return std::clamp(missing - lost > MaxPacketsInFlight(counts) ? missing : lost, 0.0, counts.sent);
}

}  // namespace iperf3_exporter
