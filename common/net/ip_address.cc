#include "common/net/ip_address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace iperf3_exporter {
namespace {

// The interface index of `zone`, which is a number or a name; 0 if there is none.
std::uint32_t ScopeId(const std::string& zone) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
  if (error == std::errc() && end == zone.data() + zone.size()) return index;
  return ::if_nametoindex(zone.c_str());
}

}  // namespace

std::string ToString(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(address.is_v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  std::string result(text);
  if (address.scope_id != 0) result += '%' + std::to_string(address.scope_id);
  return result;
}

std::optional<IpAddress> ParseIpAddress(const std::string& text) {
  IpAddress address;
  if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) return address;
  address.is_v6 = true;
  const std::size_t percent = text.find('%');
  if (::inet_pton(AF_INET6, text.substr(0, percent).c_str(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  if (percent != std::string::npos) {
    address.scope_id = ScopeId(text.substr(percent + 1));
    if (address.scope_id == 0) return std::nullopt;
  }
  return address;
}

bool IsLinkLocal(const IpAddress& address) {
  return address.is_v6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

IpAddress Unmapped(const IpAddress& address) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!address.is_v6 || !std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin())) {
    return address;
  }
  IpAddress v4;
  std::copy_n(address.bytes.begin() + kMapped.size(), 4, v4.bytes.begin());
  return v4;
}

}  // namespace iperf3_exporter
