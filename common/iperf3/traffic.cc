#include "common/iperf3/traffic.h"

#include <algorithm>
#include <cmath>

namespace iperf3_exporter {
namespace {

constexpr double kMtu = 1500;
constexpr double kMinMtu = 1280;  // of IPv6 (RFC 8200, section 5)
constexpr double kIpv4HeaderBytes = 20;
constexpr double kIpv6HeaderBytes = 40;
constexpr double kUdpHeaderBytes = 8;
constexpr double kTcpHeaderBytes = 32;        // with timestamps
constexpr double kMptcpOptionBytes = 20;      // a data sequence signal (RFC 8684, section 3.3)
constexpr double kSegmentsPerAck = 2;         // RFC 5681, section 4.2
constexpr double kDefaultUdpBytes = 1448;     // iperf3 takes it from the control connection's MSS
constexpr double kDefaultUdpBitrate = 1e6;    // per stream
constexpr double kMaxBlockBytes = 128 << 10;  // a TCP sender exceeds its bitrate by up to one block
// What the socket buffers of a stream still hold when this host stops it: the send buffer of Linux
// grows to 4 MiB by itself.
constexpr double kBufferBytes = 4 << 20;
constexpr double kRetransmitAllowance = 1.05;

struct Path {
  double mtu;
  double ip_header_bytes;
};

// Of one direction: what carries the payload, and what acknowledges it.
struct Cost {
  double data_bytes = 0;
  double ack_bytes = 0;
};

double Clamp(double value) {
  return value > 0 ? std::min(value, static_cast<double>(kMaxTrafficBytes)) : 0;
}

Cost TcpCost(const TestOptions& test, const Path& path, double payload, double retransmits) {
  const double header =
      path.ip_header_bytes + kTcpHeaderBytes + (test.mptcp ? kMptcpOptionBytes : 0);
  double segment = path.mtu - header;
  if (test.mss_bytes && *test.mss_bytes > 0) {
    segment = std::min(segment, static_cast<double>(*test.mss_bytes));
  }
  // A small block may be a segment of its own, always with no_delay, otherwise if the one before it
  // was acknowledged (RFC 896). Then each may be acknowledged.
  double segments_per_ack = kSegmentsPerAck;
  const double block = static_cast<double>(test.length_bytes.value_or(0));
  if (block > 0 && block < segment) {
    segment = block;
    segments_per_ack = 1;
  }
  const double segments = std::ceil(payload / segment) + retransmits;
  return {payload + retransmits * segment + segments * header,
          std::ceil(segments / segments_per_ack) * header};
}

Cost UdpCost(const Path& path, double payload, double datagram_bytes) {
  const double datagrams = std::ceil(payload / datagram_bytes);
  // Fragments carry multiples of 8 bytes; a fragment header of IPv6 has 8 bytes.
  const double room = path.mtu - path.ip_header_bytes;
  const double fragments = std::ceil((datagram_bytes + kUdpHeaderBytes) / room);
  const double header =
      path.ip_header_bytes + (fragments > 1 && path.ip_header_bytes == kIpv6HeaderBytes ? 8 : 0);
  return {payload + datagrams * (kUdpHeaderBytes + fragments * header), 0};
}

Cost CostOf(const TestOptions& test, const Path& path, const Payload& payload,
            double datagram_bytes) {
  const double bytes = Clamp(payload.bytes);
  if (test.protocol == Protocol::kTcp)
    return TcpCost(test, path, bytes, Clamp(payload.retransmits));
  return UdpCost(path, bytes, datagram_bytes > 0 ? datagram_bytes : kDefaultUdpBytes);
}

// The maximum payload of one direction.
std::optional<double> MaxPayload(const TestOptions& test) {
  const double block = std::max(kMaxBlockBytes, static_cast<double>(test.length_bytes.value_or(0)));
  if (test.bytes && test.omit_seconds == 0) {
    const double window = 2 * static_cast<double>(test.window_bytes.value_or(0));
    const double buffer = test.protocol == Protocol::kTcp ? std::max(kBufferBytes, window) : 0;
    return static_cast<double>(*test.bytes) + test.parallel * (block + buffer);
  }
  const auto limit = LimitOf(test);
  if (!limit) return std::nullopt;
  // A download continues until the server learns of its end. A test with a number of bytes may
  // exceed its period by all its round trips (JobTimes::max_overhead).
  const double overhead =
      static_cast<double>(kMaxRoundTrip.count()) * (test.bytes ? CountRoundTrips(test) : 1);
  const double seconds = test.omit_seconds + test.period_seconds + overhead;
  return *limit / 8 * seconds + test.parallel * block;
}

std::uint64_t ToBytes(double bytes) {
  return static_cast<std::uint64_t>(std::min(bytes, static_cast<double>(kMaxTrafficBytes)));
}

}  // namespace

std::optional<double> LimitOf(const TestOptions& test) {
  if (test.burst_packets) return std::nullopt;
  double bitrate = test.protocol == Protocol::kUdp ? kDefaultUdpBitrate : 0;
  if (test.bitrate_bits_per_second) bitrate = static_cast<double>(*test.bitrate_bits_per_second);
  return bitrate > 0 ? std::optional(bitrate * test.parallel) : std::nullopt;
}

Traffic EstimateTraffic(const TestOptions& test, bool is_v6, const Payload& upload,
                        const Payload& download, double datagram_bytes) {
  const Path path{kMtu, is_v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes};
  const Cost up = CostOf(test, path, upload, datagram_bytes);
  const Cost down = CostOf(test, path, download, datagram_bytes);
  return {ToBytes(up.data_bytes + down.ack_bytes), ToBytes(down.data_bytes + up.ack_bytes)};
}

std::optional<std::uint64_t> WorstCaseBytes(const TestOptions& test) {
  const auto payload = MaxPayload(test);
  if (!payload) return std::nullopt;
  const Path path{kMinMtu, kIpv6HeaderBytes};
  const double datagram_bytes = static_cast<double>(test.length_bytes.value_or(0));
  const Cost cost = CostOf(test, path, {*payload, 0}, datagram_bytes);
  const double directions = test.direction == Direction::kBidirectional ? 2 : 1;
  const double retransmits = test.protocol == Protocol::kTcp ? kRetransmitAllowance : 1;
  return ToBytes(directions * retransmits * (cost.data_bytes + cost.ack_bytes));
}

}  // namespace iperf3_exporter
