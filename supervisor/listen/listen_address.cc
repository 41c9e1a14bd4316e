#include "supervisor/listen/listen_address.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "common/net/ip_address.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

tl::unexpected<Error> BadAddress() {
  return MakeError("an address such as :9579, 127.0.0.1:9579, [::1]:9579 or unix:/path");
}

template <typename Address>
ListenAddress Build(std::string_view text, const Address& address, std::size_t length) {
  ListenAddress result;
  result.text = text;
  std::memcpy(&result.address, &address, sizeof address);
  result.length = static_cast<socklen_t>(length);
  return result;
}

Result<ListenAddress> ParseUnix(std::string_view text, std::string_view path) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos ||
      path.size() >= sizeof un.sun_path) {
    return BadAddress();
  }
  std::memcpy(un.sun_path, path.data(), path.size());
  return Build(text, un, offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

ListenAddress BuildIp(std::string_view text, const IpAddress& ip, in_port_t port) {
  if (!ip.is_v6) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.bytes.data(), sizeof in.sin_addr);
    return Build(text, in, sizeof in);
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  // Elsewhere the kernel ignores it, so two addresses that only differ in it are the same.
  if (IsLinkLocal(ip)) in6.sin6_scope_id = ip.scope_id;
  std::memcpy(&in6.sin6_addr, ip.bytes.data(), sizeof in6.sin6_addr);
  ListenAddress result = Build(text, in6, sizeof in6);
  // As in Go's net.Listen, the unspecified IPv6 address also accepts IPv4.
  result.any_family = IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
  return result;
}

// IPv4 and IPv6 keep the port in the same place.
in_port_t PortOf(const ListenAddress& address) {
  return reinterpret_cast<const sockaddr_in*>(&address.address)->sin_port;
}

bool IsAnyIpv4(const ListenAddress& address) {
  const auto* in = reinterpret_cast<const sockaddr_in*>(&address.address);
  return in->sin_family == AF_INET && in->sin_addr.s_addr == INADDR_ANY;
}

std::filesystem::path SocketFile(const ListenAddress& address) {
  std::error_code error;
  auto resolved = std::filesystem::weakly_canonical(address.UnixPath(), error);
  return error ? std::filesystem::path(address.UnixPath()) : resolved;
}

}  // namespace

std::string ListenAddress::UnixPath() const {
  if (!IsUnix()) return {};
  return reinterpret_cast<const sockaddr_un*>(&address)->sun_path;
}

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return ParseUnix(text, text.substr(kUnix.size()));

  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress();
  const auto port = ParseUnsigned(text.substr(colon + 1), 0, UINT16_MAX);
  std::string_view host = text.substr(0, colon);
  if (host.empty()) host = "[::]";
  if (host == "localhost") host = "127.0.0.1";
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto ip = ParseIpAddress(std::string(host));
  if (!port || !ip || ip->is_v6 != bracketed || host.find('\0') != std::string_view::npos) {
    return BadAddress();
  }
  return BuildIp(text, Unmapped(*ip), static_cast<in_port_t>(*port));
}

bool Overlap(const ListenAddress& a, const ListenAddress& b) {
  if (a.IsUnix() || b.IsUnix()) return a.IsUnix() && b.IsUnix() && SocketFile(a) == SocketFile(b);
  if (PortOf(a) == 0 || PortOf(a) != PortOf(b)) return false;
  if (a.any_family || b.any_family) return true;
  if (a.address.ss_family != b.address.ss_family) return false;
  return IsAnyIpv4(a) || IsAnyIpv4(b) || std::memcmp(&a.address, &b.address, a.length) == 0;
}

}  // namespace iperf3_exporter
