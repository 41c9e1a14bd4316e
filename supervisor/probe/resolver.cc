#include "supervisor/probe/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>

#include "common/deleter.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

using AddrinfoList = std::unique_ptr<addrinfo, Deleter<freeaddrinfo>>;

int FamilyOf(IpVersion version) {
  switch (version) {
    case IpVersion::kV4:
      return AF_INET;
    case IpVersion::kV6:
      return AF_INET6;
    case IpVersion::kAny:
      break;
  }
  return AF_UNSPEC;
}

std::optional<IpAddress> FromSockaddr(const sockaddr* address) {
  IpAddress result;
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    std::memcpy(result.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
    return result;
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    result.is_v6 = true;
    std::memcpy(result.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    result.scope_id = v6.sin6_scope_id;
    return result;
  }
  return std::nullopt;
}

// Calls `call`, which is bind(2) or connect(2).
bool OnAddress(int (*call)(int, const sockaddr*, socklen_t), const UniqueFd& fd,
               const IpAddress& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(ToString(address).c_str(), std::to_string(port).c_str(), &hints, &list) != 0) {
    return false;
  }
  const AddrinfoList owner(list);
  return call(fd.get(), list->ai_addr, list->ai_addrlen) == 0;
}

}  // namespace

Result<std::vector<IpAddress>> ResolveHost(const Host& host, IpVersion version) {
  if (host.address) return std::vector{*host.address};
  if (host.kind != HostKind::kName) return MakeError(host.text + ": no interface of that name");
  addrinfo hints{};
  hints.ai_family = FamilyOf(version);
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.text.c_str(), nullptr, &hints, &list);
  if (error != 0) {
    return MakeError(host.text + ": " +
                     (error == EAI_SYSTEM ? ErrnoText("getaddrinfo", errno)
                                          : std::string(::gai_strerror(error))));
  }
  const AddrinfoList owner(list);
  std::vector<IpAddress> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const auto address = FromSockaddr(entry->ai_addr);
    if (address && std::ranges::find(addresses, *address) == addresses.end()) {
      addresses.push_back(*address);
    }
  }
  if (addresses.empty()) return MakeError(host.text + ": no usable address");
  return addresses;
}

bool NeedsLookup(const Host& target, const std::optional<Host>& bind) {
  return target.kind == HostKind::kName || (bind && bind->kind == HostKind::kName);
}

Result<Resolved> ResolveHosts(const Host& target, const std::optional<Host>& bind,
                              IpVersion version, const TargetPolicy& policy) {
  auto addresses = ResolveHost(target, version);
  if (!addresses) return tl::unexpected(addresses.error());
  Resolved resolved;
  std::ranges::copy_if(
      *addresses, std::back_inserter(resolved.target),
      [&](const IpAddress& address) { return policy.AllowsTarget(target, address); });
  if (resolved.target.empty()) {
    resolved.forbidden = policy.ForbiddenText(target, *addresses);
    resolved.forbidden_detail = policy.ForbiddenDetail(target, *addresses);
  }
  if (!bind || resolved.target.empty()) return resolved;
  auto sources = ResolveHost(*bind, version);
  if (!sources) return tl::unexpected(sources.error());
  resolved.bind = std::move(*sources);
  return resolved;
}

std::vector<AddressPair> BuildAddressPairs(const Resolved& resolved) {
  std::vector<AddressPair> candidates;
  for (const IpAddress& address : resolved.target) {
    const auto source = std::ranges::find(resolved.bind, address.is_v6, &IpAddress::is_v6);
    if (source != resolved.bind.end()) {
      candidates.push_back({address, *source});
    } else if (resolved.bind.empty()) {
      candidates.push_back({address, std::nullopt});
    }
  }
  return candidates;
}

std::optional<IpAddress> FindSource(const AddressPair& pair, std::uint16_t port,
                                    const std::string& device) {
  const UniqueFd fd(
      ::socket(pair.destination.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!device.empty() && ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                                      static_cast<socklen_t>(device.size() + 1)) != 0) {
    return std::nullopt;
  }
  if (pair.source && !OnAddress(::bind, fd, *pair.source, 0)) return std::nullopt;
  if (!OnAddress(::connect, fd, pair.destination, port)) return std::nullopt;
  sockaddr_in6 source{};
  socklen_t size = sizeof source;
  auto* generic = reinterpret_cast<sockaddr*>(&source);
  if (::getsockname(fd.get(), generic, &size) != 0) return std::nullopt;
  return FromSockaddr(generic);
}

}  // namespace iperf3_exporter
