#include "worker/iperf3/udp_loss.h"

#include <algorithm>
#include <cmath>

namespace iperf3_exporter {
namespace {

// What can be on its way when the test ends: a share of the packets, and a time.
constexpr double kMaxTailShare = 0.01;
constexpr double kMaxTailSeconds = 0.2;

double MaxTail(const UdpCounts& counts) {
  const double longer = std::max(0.0, counts.sent_seconds - counts.received_seconds);
  return counts.sent * std::max(kMaxTailShare, (kMaxTailSeconds + longer) / counts.sent_seconds);
}

// Whether the gaps are those of the measured time. If no omitted packet arrived, gaps that include
// the omitted ones agree with the bytes received too, but not with what was sent.
bool AreGapsOfTheTest(const UdpCounts& counts) {
  if (!counts.known || !counts.gaps) return false;
  if (*counts.known - *counts.gaps != counts.received) return false;
  return !counts.has_omit || *counts.known <= counts.sent + MaxTail(counts);
}

// Loss before the last packet that arrived.
double CountGaps(const UdpCounts& counts) {
  const auto& [sent, received, sent_seconds, received_seconds, known, gaps, has_omit] = counts;
  if (AreGapsOfTheTest(counts)) return *gaps;
  if (!has_omit) return known.value_or(sent) - received;
  const double lost = std::round(sent * received_seconds / sent_seconds) - received;
  return gaps ? std::min(lost, *gaps) : lost;
}

}  // namespace

double CountLostPackets(const UdpCounts& counts) {
  const double missing = counts.sent - counts.received;
  const double lost = CountGaps(counts);
  return std::clamp(missing - lost > MaxTail(counts) ? missing : lost, 0.0, counts.sent);
}

}  // namespace iperf3_exporter
