// The host of a request: an address or a name, parsed once. Nothing is looked up but the interface
// that a zone names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/net/ip_address.h"

namespace iperf3_exporter {

// RFC 1035: the longest host name.
inline constexpr std::size_t kMaxTargetBytes = 253;

enum class HostKind : std::uint8_t { kName, kV4, kV6 };

struct Host {
  HostKind kind = HostKind::kName;
  std::string text;  // as spelled, without brackets
  // Absent for a name, and for an IPv6 address whose zone names no interface of this host.
  std::optional<IpAddress> address;

  bool operator==(const Host&) const = default;
};

// A host name, an IPv4 address, or an IPv6 address with or without brackets and with or without a
// zone; at most kMaxTargetBytes.
[[nodiscard]] std::optional<Host> ParseHost(std::string_view text);

// `text` as a host and the text behind it, which is empty or begins with `:`: "h:80" is h and
// ":80". An IPv6 address needs brackets before a port.
struct HostAndRest {
  std::string_view host;
  std::string_view rest;
};
[[nodiscard]] HostAndRest SplitHostPort(std::string_view text);

}  // namespace iperf3_exporter
