// From the hosts of a request to the addresses that its probe may try.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/net/host.h"
#include "common/net/ip_address.h"
#include "supervisor/config/target_policy.h"
#include "supervisor/probe/probe_request.h"

namespace iperf3_exporter {

// The addresses of `host` in the order to be tried (RFC 6724, as getaddrinfo returns them), each
// once. `version` restricts names only. Blocks for a name as long as the system's resolver does:
// see name_lookups.h.
[[nodiscard]] Result<std::vector<IpAddress>> ResolveHost(const Host& host, IpVersion version);

struct Resolved {
  std::vector<IpAddress> target;  // only allowed addresses; empty if none is allowed
  std::vector<IpAddress> bind;    // empty: the request names no source
  // If no address is allowed: for the client and for the log.
  std::string forbidden;
  std::string forbidden_detail;
};

[[nodiscard]] bool NeedsLookup(const Host& target, const std::optional<Host>& bind);

// Resolves both hosts, but `bind` only if `policy` allows the target. Blocks if NeedsLookup.
[[nodiscard]] Result<Resolved> ResolveHosts(const Host& target, const std::optional<Host>& bind,
                                            IpVersion version, const TargetPolicy& policy);

// The addresses of `target` in order, each with the first source of its family. If there are
// sources, addresses of another family are left out: a bound socket can't reach them.
[[nodiscard]] std::vector<AddressPair> BuildAddressPairs(const Resolved& resolved);

// The source address that a test of `pair` has, found by connecting a UDP socket, which sends
// nothing. `device` is an interface name or empty. Empty if there is no route.
[[nodiscard]] std::optional<IpAddress> FindSource(const AddressPair& pair, std::uint16_t port,
                                                  const std::string& device);

}  // namespace iperf3_exporter
