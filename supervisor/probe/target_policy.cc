#include "supervisor/probe/target_policy.h"

#include <algorithm>
#include <optional>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

constexpr unsigned kV4Bits = 32;
constexpr unsigned kV6Bits = 128;
constexpr std::size_t kMappedPrefixBytes = 12;

// Lower case, without the final dot of a fully qualified name.
std::string Canonical(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  return ToLower(name);
}

bool IsHostName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxTargetBytes && name.front() != '-' &&
         name.front() != '.' && HasOnlyAlnumOr(name, ".-_");
}

// ::ffff:a.b.c.d as a.b.c.d: the same packets go out.
IpAddress Unmapped(const IpAddress& address) {
  if (!address.is_v6) return address;
  constexpr std::array<std::uint8_t, kMappedPrefixBytes> kMapped = {0, 0, 0, 0, 0,    0,
                                                                    0, 0, 0, 0, 0xff, 0xff};
  if (!std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin())) return address;
  IpAddress v4;
  std::copy_n(address.bytes.begin() + kMappedPrefixBytes, 4, v4.bytes.begin());
  return v4;
}

// Whether the first `bits` bits are the same.
bool SamePrefix(const IpAddress& a, const IpAddress& b, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + whole, b.bytes.begin())) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (a.bytes[whole] & mask) == (b.bytes[whole] & mask);
}

bool HasBitsBehind(const IpAddress& address, unsigned prefix_bits) {
  const unsigned bits = address.is_v6 ? kV6Bits : kV4Bits;
  for (unsigned bit = prefix_bits; bit < bits; ++bit) {
    if ((address.bytes[bit / 8] >> (7 - bit % 8)) & 1) return true;
  }
  return false;
}

}  // namespace

Status TargetPolicy::AddTarget(const std::string& rule) {
  const std::size_t slash = rule.find('/');
  std::string text = rule.substr(0, slash);
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  if (const std::optional<IpAddress> address = ParseIpAddress(text);
      address && address->scope_id == 0) {
    const unsigned bits = address->is_v6 ? kV6Bits : kV4Bits;
    std::optional<std::uint64_t> prefix = bits;
    if (slash != std::string::npos) {
      prefix = ParseInteger(std::string_view(rule).substr(slash + 1), 0, bits);
    }
    if (!prefix)
      return MakeError("a prefix length from 0 to " + std::to_string(bits) + " after the /");
    const auto prefix_bits = static_cast<unsigned>(*prefix);
    if (HasBitsBehind(*address, prefix_bits)) {
      return MakeError("an address without bits set behind its prefix length");
    }
    networks_.push_back({*address, prefix_bits});
    return {};
  }
  const bool suffix = rule.starts_with("*.");
  const std::string name = Canonical(std::string_view(rule).substr(suffix ? 2 : 0));
  // Digits and dots alone are an address that is wrong, not the name of a host.
  const bool numeric = name.find_first_not_of("0123456789.") == std::string::npos;
  if (numeric || !IsHostName(name)) return MakeError("a CIDR, a host name or *.suffix");
  if (suffix) {
    suffixes_.push_back('.' + name);
  } else {
    names_.push_back(name);
  }
  return {};
}

Status TargetPolicy::AddPort(const std::string& rule) {
  const std::size_t dash = rule.find('-');
  const std::string_view text = rule;
  const auto first = ParseInteger(text.substr(0, dash), 1, UINT16_MAX);
  const auto last =
      dash == std::string::npos ? first : ParseInteger(text.substr(dash + 1), 1, UINT16_MAX);
  if (!first || !last || *first > *last) return MakeError("a port or a range such as 5201-5210");
  ports_.emplace_back(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
  return {};
}

bool TargetPolicy::AllowsName(std::string_view host) const {
  const std::string name = Canonical(host);
  if (std::find(names_.begin(), names_.end(), name) != names_.end()) return true;
  return std::any_of(suffixes_.begin(), suffixes_.end(), [&](const std::string& suffix) {
    return name.size() > suffix.size() && name.ends_with(suffix);
  });
}

bool TargetPolicy::AllowsTarget(std::string_view host, const IpAddress& address) const {
  if (networks_.empty() && names_.empty() && suffixes_.empty()) return true;
  if (AllowsName(host)) return true;
  const IpAddress plain = Unmapped(address);
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    return network.address.is_v6 == plain.is_v6 &&
           SamePrefix(network.address, plain, network.prefix_bits);
  });
}

bool TargetPolicy::MayAllow(std::string_view host) const {
  if (!networks_.empty() || (names_.empty() && suffixes_.empty())) return true;
  return AllowsName(host);
}

bool TargetPolicy::AllowsPort(std::uint16_t port) const {
  return ports_.empty() || std::any_of(ports_.begin(), ports_.end(), [&](const auto& range) {
           return port >= range.first && port <= range.second;
         });
}

}  // namespace iperf3_exporter
