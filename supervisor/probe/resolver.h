// The hosts of a request to the paths that its probe may try.
#pragma once

#include <optional>
#include <vector>

#include "common/error.h"
#include "common/net/host.h"
#include "common/net/ip_address.h"
#include "supervisor/config/target_policy.h"
#include "supervisor/probe/probe_request.h"

namespace iperf3_exporter {

// The addresses of `host` in the order to be tried (RFC 6724, as getaddrinfo returns them), each
// once. Blocks for a name as long as the system's resolver does: see name_lookups.h.
[[nodiscard]] Result<std::vector<IpAddress>> ResolveHost(const Host& host, IpVersion version);

struct Resolved {
  std::vector<IpAddress> target;  // those that are allowed; empty: none is
  std::vector<IpAddress> bind;    // empty: the request names no source
};

[[nodiscard]] bool NeedsLookup(const Host& target, const std::optional<Host>& bind);

// Both hosts, one after the other. Looks a name in `bind` up only for a target that `policy`
// allows. Blocks if NeedsLookup.
[[nodiscard]] Result<Resolved> ResolveHosts(const Host& target, const std::optional<Host>& bind,
                                            IpVersion version, const TargetPolicy& policy);

// An address to be tried, and the source to be bound for it.
struct TargetPath {
  IpAddress address;
  std::optional<IpAddress> source;

  bool operator==(const TargetPath&) const = default;
};

// The addresses of `target` that can be tried, in order: those of `version`. If there are sources,
// each address has the first source of its family, and those of another family are left out: a
// socket that is bound to one family reaches no other.
[[nodiscard]] std::vector<TargetPath> BuildPaths(const Resolved& resolved, IpVersion version);

[[nodiscard]] bool Matches(IpVersion version, const IpAddress& address);

}  // namespace iperf3_exporter
