// What a test will leave this host by. Asks the kernel; sends nothing and does not block.
#pragma once

#include <cstdint>
#include <string>

#include "supervisor/probe/resolver.h"

namespace iperf3_exporter {

// The source address and the interface's index, such as "192.0.2.7 dev 3", whether the request
// named one of them, both or none: so tests that take the same route have the same text. `device`
// is an interface name, or empty for whatever the routing table says. The index is 0 where the
// kernel does not tell it (no netlink sockets); the source address is then all that tells routes
// apart. Returns "unknown" if there is no route.
[[nodiscard]] std::string FindRoute(const TargetPath& path, std::uint16_t port,
                                    const std::string& device);

}  // namespace iperf3_exporter
