// Numbers as iperf3's own options write them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace iperf3_exporter {

// Most that a bitrate may be: a petabit per second, far above any link, and small enough that
// a product with the number of streams stays within 64 bits.
inline constexpr std::uint64_t kMaxBitsPerSecond64 = 1'000'000'000'000'000;
// iperf3's MAX_BURST.
inline constexpr std::uint32_t kMaxBurstPackets = 1000;

struct Bitrate {
  std::uint64_t bits_per_second = 0;  // 0: unlimited
  std::optional<std::uint32_t> burst_packets;
};

// `#[KMGT][/#]`, the letter in either case, K being 1000, decimals allowed. nullopt when it is
// not of that form or out of range.
[[nodiscard]] std::optional<Bitrate> ParseBitrate(std::string_view text);

// `#[KMGT]` in bytes, K being 1024, decimals allowed (-w, -l).
[[nodiscard]] std::optional<std::uint64_t> ParseByteCount(std::string_view text);

// 0 to 63, or the name of a class: cs0 to cs7, af11 to af43, ef (--dscp; RFC 2474, 2597, 3246).
[[nodiscard]] std::optional<std::uint32_t> ParseDscp(std::string_view text);

}  // namespace iperf3_exporter
