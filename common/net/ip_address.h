// Numeric IP addresses. Pure, except that the interface of a zone is looked up.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace iperf3_exporter {

// Workers get addresses only, never names.
struct IpAddress {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; an IPv4 address uses the first 4
  std::uint32_t scope_id = 0;            // interface index given as a zone, else 0

  // clang-tidy 14 mistakes the 0 in the generated comparisons for a null pointer.
  auto operator<=>(const IpAddress&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Which addresses of a name may be used.
enum class IpVersion : std::uint8_t { kAny, kV4, kV6 };

// A destination to be tried, and the source to be bound for it.
struct AddressPair {
  IpAddress destination;
  std::optional<IpAddress> source;

  auto operator<=>(const AddressPair&) const = default;  // NOLINT(modernize-use-nullptr)
};

// In the format of inet_ntop(3), with %interface-index for a scope.
[[nodiscard]] std::string ToString(const IpAddress& address);

// Whether the address is in fe80::/10: the only ones whose zone iperf3 understands.
[[nodiscard]] bool IsLinkLocal(const IpAddress& address);

// The IPv4 address of ::ffff:0:0/96, otherwise `address` itself: both reach the same host.
[[nodiscard]] IpAddress Unmapped(const IpAddress& address);

// An IPv4 or IPv6 address without brackets. A zone is an interface index or name.
[[nodiscard]] std::optional<IpAddress> ParseIpAddress(const std::string& text);

}  // namespace iperf3_exporter
