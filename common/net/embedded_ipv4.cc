#include "common/net/embedded_ipv4.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace iperf3_exporter {
namespace {

using namespace std::string_view_literals;

struct Embedding {
  std::string_view pattern;        // bytes that such an IPv6 address contains
  std::size_t pattern_at;          // offset of the pattern in bytes
  std::array<std::size_t, 4> v4;   // offset of each byte of the IPv4 address
  std::uint8_t inverted_bits = 0;  // XORed with each of these bytes (Teredo: the client's address)
};

constexpr auto kCompatible = "\0\0\0\0\0\0\0\0\0\0\0\0"sv;
constexpr auto kTranslated = "\0\0\0\0\0\0\0\0\xff\xff\0\0"sv;
constexpr auto kNat64 = "\0\x64\xff\x9b\0\0\0\0\0\0\0\0"sv;
constexpr auto kLocalNat64 = "\0\x64\xff\x9b\0\x01"sv;
constexpr auto kSixToFour = "\x20\x02"sv;
constexpr auto kTeredo = "\x20\x01\0\0"sv;
constexpr auto kIsatap = "\0\0\x5e\xfe"sv;
constexpr auto kIsatapGlobal = "\x02\0\x5e\xfe"sv;

constexpr std::array<std::size_t, 4> kLast = {12, 13, 14, 15};

constexpr std::array kEmbeddings = {
    Embedding{kCompatible, 0, kLast},
    Embedding{kTranslated, 0, kLast},
    Embedding{kNat64, 0, kLast},
    // By the length of the prefix: 48, 56, 64 and 96 bits. Byte 8 is always 0 (RFC 6052, 2.2).
    Embedding{kLocalNat64, 0, {6, 7, 9, 10}},
    Embedding{kLocalNat64, 0, {7, 9, 10, 11}},
    Embedding{kLocalNat64, 0, {9, 10, 11, 12}},
    Embedding{kLocalNat64, 0, kLast},
    Embedding{kSixToFour, 0, {2, 3, 4, 5}},
    Embedding{kTeredo, 0, {4, 5, 6, 7}},
    Embedding{kTeredo, 0, kLast, 0xff},
    Embedding{kIsatap, 8, kLast},
    Embedding{kIsatapGlobal, 8, kLast},
};

bool Matches(const Embedding& embedding, const IpAddress& address) {
  return std::memcmp(address.bytes.data() + embedding.pattern_at, embedding.pattern.data(),
                     embedding.pattern.size()) == 0;
}

}  // namespace

std::vector<IpAddress> EmbeddedIpv4(const IpAddress& address) {
  std::vector<IpAddress> found;
  if (!address.is_v6) return found;
  for (const Embedding& embedding : kEmbeddings) {
    if (!Matches(embedding, address)) continue;
    IpAddress v4;
    for (std::size_t i = 0; i < embedding.v4.size(); ++i) {
      v4.bytes[i] =
          static_cast<std::uint8_t>(address.bytes[embedding.v4[i]] ^ embedding.inverted_bits);
    }
    if (v4.bytes[0] != 0) found.push_back(v4);
  }
  return found;
}

}  // namespace iperf3_exporter
