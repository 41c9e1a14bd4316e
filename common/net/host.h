// The host of a request: an address or a name. No name is resolved; only the interface of a zone is
// looked up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/net/ip_address.h"

namespace iperf3_exporter {

// The maximum length of a host name (RFC 1035).
inline constexpr std::size_t kMaxTargetBytes = 253;

enum class HostKind : std::uint8_t { kName, kV4, kV6 };

struct Host {
  HostKind kind = HostKind::kName;
  std::string text;  // as written, without brackets
  // Absent for a name, and for an IPv6 address whose zone is not an interface of this host.
  std::optional<IpAddress> address;

  bool operator==(const Host&) const = default;
};

// A host name, an IPv4 address, or an IPv6 address with or without brackets and with or without a
// zone; at most kMaxTargetBytes.
[[nodiscard]] std::optional<Host> ParseHost(std::string_view text);

struct HostAndRest {
  std::string_view host;
  std::string_view rest;
};
// Splits `text` into a host and the rest, which is empty or begins with `:`: "h:80" is "h" and
// ":80". Before a port an IPv6 address needs brackets.
[[nodiscard]] HostAndRest SplitHostPort(std::string_view text);

}  // namespace iperf3_exporter
