// Groups clients for limits that one of them must not use up for the others. Pure.
#pragma once

#include <string>
#include <string_view>

namespace iperf3_exporter {

// `peer` is HttpExchange::peer(). Returns its address without the port; of an IPv6 address the /64
// network, because a host may use every address of that. "unix" for a Unix socket.
[[nodiscard]] std::string ClientNetwork(std::string_view peer);

}  // namespace iperf3_exporter
