// The bytes of IP packets that a test transfers, headers and acknowledgements included, as a
// metered link counts them: an estimate from what iperf3 counted after the test, a maximum before
// it. Connecting and the results, up to 2 kB for each stream, are left out. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "common/iperf3/test_options.h"

namespace iperf3_exporter {

struct Traffic {
  std::uint64_t upload_bytes = 0;    // this host to the server
  std::uint64_t download_bytes = 0;  // the server to this host

  [[nodiscard]] std::uint64_t Total() const { return upload_bytes + download_bytes; }

  Traffic& operator+=(const Traffic& other) {
    upload_bytes += other.upload_bytes;
    download_bytes += other.download_bytes;
    return *this;
  }
  bool operator==(const Traffic&) const = default;
};

// No test sends or receives more in a second, on any link: 1 Tbit/s.
inline constexpr std::uint64_t kMaxBytesPerSecond = 125'000'000'000;
// The maximum of each direction of a Traffic; twice iperf3's longest test.
inline constexpr std::uint64_t kMaxTrafficBytes = kMaxBytesPerSecond * 2 * 86'400;

// What iperf3 counted of one direction, over all streams. Negative or too large numbers count as 0
// and kMaxTrafficBytes.
struct Payload {
  double bytes = 0;
  double retransmits = 0;  // segments, TCP
};

// `datagram_bytes`: the payload of a UDP packet; 0: iperf3's default.
[[nodiscard]] Traffic EstimateTraffic(const TestOptions& test, bool is_v6, const Payload& upload,
                                      const Payload& download, double datagram_bytes = 0);

// The bitrate limit of a test, in bits per second over all streams of one direction. nullopt if it
// has none, or if it has a burst, with which some versions of iperf3 ignore the bitrate.
[[nodiscard]] std::optional<double> LimitOf(const TestOptions& test);

// The maximum of both directions together. nullopt if neither a number of bytes nor LimitOf
// limits the test; the number of bytes does not count what is sent in omitted seconds.
// A number of bytes alone is exceeded by what the link carries until iperf3 stops: up to an
// interval of at least 0.1 s from 3.16 on.
[[nodiscard]] std::optional<std::uint64_t> WorstCaseBytes(const TestOptions& test);

}  // namespace iperf3_exporter
