// Numeric IP addresses. Pure, but that an interface's name is looked up for a zone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace iperf3_exporter {

// A numeric address. Names never reach a worker.
struct IpAddress {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; an IPv4 address uses the first 4
  std::uint32_t scope_id = 0;            // interface index of a link-local IPv6 address, else 0

  bool operator==(const IpAddress&) const = default;
};

// Text as inet_ntop gives it, with %interface-index for a scope.
[[nodiscard]] std::string ToString(const IpAddress& address);

// A numeric IPv4 or IPv6 address (no brackets; a zone as index or interface name).
[[nodiscard]] std::optional<IpAddress> ParseIpAddress(const std::string& text);

}  // namespace iperf3_exporter
