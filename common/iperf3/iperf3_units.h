// Numbers as iperf3's own options write them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace iperf3_exporter {

// A petabit per second: above any link, and small enough that a product with the number of streams
// stays within 64 bits.
inline constexpr std::uint64_t kMaxBitsPerSecond64 = 1'000'000'000'000'000;
// MAX_BURST of iperf3.
inline constexpr std::uint64_t kMaxBurstPackets = 1000;
inline constexpr std::uint64_t kMaxByteCount = 1ULL << 50U;

struct Bitrate {
  std::uint64_t bits_per_second = 0;  // 0: unlimited
  std::optional<std::uint64_t> burst_packets;
};

// `#[KMGT][/#]`, K being 1000, the letter in either case, decimals allowed. nullopt when it is not
// of that form or out of range.
[[nodiscard]] std::optional<Bitrate> ParseBitrate(std::string_view text);

// `#[KMGT]`, K being 1024, at most kMaxByteCount (-w, -l, -n).
[[nodiscard]] std::optional<std::uint64_t> ParseByteCount(std::string_view text);

// 0 to 63, or a class: cs0 to cs7, af11 to af43, ef (--dscp; RFC 2474, 2597, 3246).
[[nodiscard]] std::optional<std::uint64_t> ParseDscp(std::string_view text);

// A Go duration, rounded up, or a bare number of seconds. Never negative.
[[nodiscard]] std::optional<std::uint64_t> ParseWholeSeconds(std::string_view text);

}  // namespace iperf3_exporter
