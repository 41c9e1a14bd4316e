// Numeric IP addresses. Pure, except that the interface of a zone is looked up.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace iperf3_exporter {

// Workers get addresses only, never names.
struct IpAddress {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; an IPv4 address uses the first 4
  std::uint32_t scope_id = 0;            // interface index given as a zone, else 0

  bool operator==(const IpAddress&) const = default;
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
