#include "supervisor/listen/listen_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace iperf3_exporter {
namespace {

constexpr std::string_view kExpected =
    "expected :PORT, IPV4:PORT, [IPV6]:PORT, localhost:PORT or unix:/PATH";

tl::unexpected<Error> Bad(std::string_view text, std::string_view reason) {
  return MakeError("listen address \"" + std::string(text) + "\": " + std::string(reason) + " (" +
                   std::string(kExpected) + ")");
}

Result<ListenAddress> ParseUnix(std::string_view text, std::string_view path) {
  ListenAddress result;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/') return Bad(text, "the socket's path must be absolute");
  if (path.find('\0') != std::string_view::npos) return Bad(text, "the path contains a NUL byte");
  if (path.size() >= sizeof un.sun_path) {
    return Bad(text, "the socket's path is longer than " + std::to_string(sizeof un.sun_path - 1) +
                         " bytes");
  }
  std::memcpy(un.sun_path, path.data(), path.size());
  result.text = text;
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  std::memcpy(&result.address, &un, sizeof un);
  return result;
}

bool FillIpv4(const std::string& host, in_port_t port, ListenAddress& result) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1) return false;
  std::memcpy(&result.address, &in, sizeof in);
  result.length = sizeof in;
  return true;
}

bool FillIpv6(const std::string& host, in_port_t port, ListenAddress& result) {
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  const auto percent = host.find('%');
  if (percent != std::string::npos) {
    const std::string zone = host.substr(percent + 1);
    in6.sin6_scope_id = if_nametoindex(zone.c_str());
    if (in6.sin6_scope_id == 0) return false;
  }
  if (inet_pton(AF_INET6, host.substr(0, percent).c_str(), &in6.sin6_addr) != 1) return false;
  std::memcpy(&result.address, &in6, sizeof in6);
  result.length = sizeof in6;
  // As Go's net.Listen has it: the unspecified IPv6 address also takes IPv4.
  result.any_family = IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
  return true;
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
  if (colon == std::string_view::npos) return Bad(text, "no port");
  const std::string_view digits = text.substr(colon + 1);
  in_port_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Bad(text, "the port is not a number from 0 to 65535");
  }

  ListenAddress result;
  result.text = text;
  const std::string host(text.substr(0, colon));
  if (host.empty()) {
    FillIpv6("::", port, result);
    return result;
  }
  if (host.find('\0') != std::string::npos) return Bad(text, "the address contains a NUL byte");
  if (host.front() == '[' && host.back() == ']') {
    if (!FillIpv6(host.substr(1, host.size() - 2), port, result)) {
      return Bad(text, "not an IPv6 address between the brackets");
    }
    return result;
  }
  if (host.find(':') != std::string::npos) return Bad(text, "an IPv6 address needs brackets");
  if (!FillIpv4(host == "localhost" ? "127.0.0.1" : host, port, result)) {
    return Bad(text, "not an IP address");
  }
  return result;
}

}  // namespace iperf3_exporter
