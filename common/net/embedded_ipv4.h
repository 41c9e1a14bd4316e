// The IPv4 addresses inside an IPv6 address. Pure.
#pragma once

#include <vector>

#include "common/net/ip_address.h"

namespace iperf3_exporter {

// The IPv4 addresses that traffic to `address` may reach through a translator or a tunnel:
//  - IPv4-compatible (RFC 4291) and IPv4-translated addresses (RFC 2765);
//  - NAT64 with the well-known prefix 64:ff9b::/96 (RFC 6052), and with any prefix within the local
//    64:ff9b:1::/48 (RFC 8215): every place where RFC 6052 puts the IPv4 address;
//  - 6to4 (RFC 3056), Teredo (RFC 4380: server and client), ISATAP (RFC 5214).
// Empty for any other, such as an IPv4 address, an IPv4-mapped one, which Unmapped (ip_address.h)
// returns, or one with a NAT64 prefix of the network's own. Results in 0.0.0.0/8 are dropped: they
// are the zeros of addresses such as ::1, or of a position that this NAT64 prefix does not use.
[[nodiscard]] std::vector<IpAddress> EmbeddedIpv4(const IpAddress& address);

}  // namespace iperf3_exporter
