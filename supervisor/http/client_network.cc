#include "supervisor/http/client_network.h"

#include <algorithm>

#include "common/net/host.h"

namespace iperf3_exporter {

std::string ClientNetwork(std::string_view peer) {
  const auto host = ParseHost(SplitHostPort(peer).host);
  if (!host || !host->address) return std::string(peer);
  // A socket that listens on [::] shows IPv4 clients as mapped addresses.
  IpAddress network = Unmapped(*host->address);
  if (network.is_v6) std::fill(network.bytes.begin() + 8, network.bytes.end(), 0);
  return ToString(network);
}

}  // namespace iperf3_exporter
