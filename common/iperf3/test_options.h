// The options of one iperf3 test.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/net/ip_address.h"

namespace iperf3_exporter {

enum class Protocol : std::uint8_t { kTcp, kUdp };
enum class Direction : std::uint8_t { kUpload, kDownload, kBidirectional };

// The only input for iperf3's options. option_table.h has the bounds.
struct TestOptions {
  Protocol protocol = Protocol::kTcp;
  Direction direction = Direction::kUpload;
  std::uint32_t period_seconds = 5;  // the limit with `bytes`
  std::uint32_t parallel = 1;
  std::uint32_t omit_seconds = 0;
  std::optional<std::uint64_t> bytes;                    // ends after that many instead
  std::optional<std::uint64_t> bitrate_bits_per_second;  // 0: unlimited; absent: iperf3's default
  std::optional<std::uint64_t> burst_packets;
  std::optional<std::uint64_t> window_bytes;
  std::optional<std::uint64_t> mss_bytes;
  std::optional<std::uint64_t> length_bytes;
  std::optional<std::uint64_t> dscp;
  std::optional<std::uint64_t> client_port;
  std::optional<IpAddress> bind_address;
  std::string bind_device;  // interface name; empty: none
  std::string congestion;   // algorithm; empty: the system's default
  bool no_delay = false;
  bool zerocopy = false;
  bool mptcp = false;
  bool dont_fragment = false;
  bool gso = false;
  bool skip_rx_copy = false;

  bool operator==(const TestOptions&) const = default;
};

// The maximum length of the installed iperf3's version text.
inline constexpr std::size_t kMaxVersionTextBytes = 64;

// The streams of both directions.
[[nodiscard]] constexpr std::uint32_t CountStreams(const TestOptions& test) {
  return test.parallel * (test.direction == Direction::kBidirectional ? 2 : 1);
}

// How many round trips a test needs beyond its period: to connect, to exchange parameters, states
// and results, and for the first data. Counted with iperf3 3.12 and 3.18.
[[nodiscard]] constexpr int CountRoundTrips(const TestOptions& test) {
  const int one_way = test.protocol == Protocol::kUdp ? 6 : 7;
  return one_way + (test.direction == Direction::kBidirectional ? 1 : 0);
}

// iperf3 connects its streams one after the other. CountRoundTrips counts one of each direction.
[[nodiscard]] constexpr std::uint32_t CountFurtherStreams(const TestOptions& test) {
  return CountStreams(test) - CountStreams({.direction = test.direction});
}

// The longest round trip to allow for: as over a satellite with full queues.
inline constexpr std::chrono::seconds kMaxRoundTrip{1};

}  // namespace iperf3_exporter
