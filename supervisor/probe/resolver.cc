#include "supervisor/probe/resolver.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace iperf3_exporter {
namespace {

struct AddrinfoDeleter {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

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
  const std::unique_ptr<addrinfo, AddrinfoDeleter> owner(list);
  std::vector<IpAddress> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const auto address = FromSockaddr(entry->ai_addr);
    if (address && std::find(addresses.begin(), addresses.end(), *address) == addresses.end()) {
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
  std::erase_if(*addresses,
                [&](const IpAddress& address) { return !policy.AllowsTarget(target, address); });
  Resolved resolved{std::move(*addresses), {}};
  if (!bind || resolved.target.empty()) return resolved;
  auto sources = ResolveHost(*bind, version);
  if (!sources) return tl::unexpected(sources.error());
  resolved.bind = std::move(*sources);
  return resolved;
}

std::vector<TargetPath> BuildPaths(const Resolved& resolved, IpVersion version) {
  std::vector<TargetPath> paths;
  for (const IpAddress& address : resolved.target) {
    if (!Matches(version, address)) continue;
    const auto source =
        std::find_if(resolved.bind.begin(), resolved.bind.end(),
                     [&](const IpAddress& candidate) { return candidate.is_v6 == address.is_v6; });
    if (source != resolved.bind.end()) {
      paths.push_back({address, *source});
    } else if (resolved.bind.empty()) {
      paths.push_back({address, std::nullopt});
    }
  }
  return paths;
}

bool Matches(IpVersion version, const IpAddress& address) {
  return version == IpVersion::kAny || address.is_v6 == (version == IpVersion::kV6);
}

}  // namespace iperf3_exporter
