// The options of one iperf3 run, and what the installed iperf3 can do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/net/ip_address.h"

namespace iperf3_exporter {

enum class Protocol : std::uint8_t { kTcp, kUdp };
enum class Direction : std::uint8_t { kUpload, kDownload, kBidirectional };

// The options of one iperf3 run. Everything is typed and bounded; iperf3's argv is
// built from this alone.
struct TestOptions {
  Protocol protocol = Protocol::kTcp;
  Direction direction = Direction::kUpload;
  std::uint32_t period_seconds = 5;
  std::uint32_t parallel = 1;
  std::uint32_t omit_seconds = 0;
  std::optional<std::uint64_t> bitrate_bits_per_second;  // 0 means unlimited; absent: iperf3's own
  std::optional<std::uint32_t> burst_packets;
  std::optional<std::uint64_t> window_bytes;
  std::optional<std::uint32_t> mss_bytes;
  std::optional<std::uint32_t> length_bytes;
  std::optional<std::uint32_t> dscp;         // 0 to 63
  std::optional<std::uint16_t> client_port;  // --cport
  std::optional<IpAddress> bind_address;
  std::string bind_device;  // interface name, at most 15 bytes; empty: none
  std::string congestion;   // algorithm, at most 15 bytes of [a-z0-9_-]; empty: the system's
  bool no_delay = false;
  bool zerocopy = false;

  bool operator==(const TestOptions&) const = default;
};

// What the installed iperf3 knows, by the options its help text names.
struct Iperf3Capabilities {
  bool bidirectional = false;  // --bidir, 3.7
  bool bind_device = false;    // --bind-dev, 3.10
  bool dscp = false;           // --dscp
  bool connect_timeout = false;
  bool zerocopy = false;
  bool congestion = false;
  bool client_port = false;

  bool operator==(const Iperf3Capabilities&) const = default;
};

}  // namespace iperf3_exporter
