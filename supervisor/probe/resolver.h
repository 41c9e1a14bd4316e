// Names to addresses. What blocks belongs on a thread of its own: see name_lookups.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"
#include "common/net/ip_address.h"
#include "supervisor/probe/probe_request.h"

namespace iperf3_exporter {

// Numeric addresses of `host` in the order to be tried (RFC 6724, as getaddrinfo gives
// them), each once. Blocks as long as the system's resolver does: not for the loop.
[[nodiscard]] Result<std::vector<IpAddress>> ResolveBlocking(const std::string& host,
                                                             IpVersion version);

// What a probe needs to know of its two hosts; `bind` is empty when there is none.
struct Resolved {
  std::vector<IpAddress> target;
  std::vector<IpAddress> bind;
};

// Both, one after the other. Blocks as ResolveBlocking does.
[[nodiscard]] Result<Resolved> ResolveBoth(const std::string& target, const std::string& bind,
                                           IpVersion version);

// An address to be tried, and the source to be bound for it.
struct TargetPath {
  IpAddress address;
  std::optional<IpAddress> source;

  bool operator==(const TargetPath&) const = default;
};

// The addresses of `target` that can be tried, in order: those of `version`; and if there are
// sources, those of a source's family, each with the first source of its family, because a socket
// that is bound to one family reaches no other.
[[nodiscard]] std::vector<TargetPath> BuildPaths(const Resolved& resolved, IpVersion version);

[[nodiscard]] bool Matches(IpVersion version, const IpAddress& address);

}  // namespace iperf3_exporter
