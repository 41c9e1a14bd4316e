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

Result<std::vector<IpAddress>> ResolveBlocking(const std::string& host, IpVersion version) {
  addrinfo hints{};
  hints.ai_family = FamilyOf(version);
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) {
    return MakeError(error == EAI_SYSTEM ? ErrnoText("getaddrinfo", errno)
                                         : std::string(::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, AddrinfoDeleter> owner(list);
  std::vector<IpAddress> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const auto address = FromSockaddr(entry->ai_addr);
    if (address && std::find(addresses.begin(), addresses.end(), *address) == addresses.end()) {
      addresses.push_back(*address);
    }
  }
  if (addresses.empty()) return MakeError("no usable address");
  return addresses;
}

Result<Resolved> ResolveBoth(const std::string& target, const std::string& bind,
                             IpVersion version) {
  Resolved resolved;
  if (const auto host = ParseHost(target); host && host->address) {
    resolved.target = {*host->address};
  } else if (auto addresses = ResolveBlocking(target, version); addresses) {
    resolved.target = std::move(*addresses);
  } else {
    return MakeError(target + ": " + addresses.error().message);
  }
  if (bind.empty()) return resolved;
  auto sources = ResolveBlocking(bind, version);
  if (!sources) return MakeError(bind + ": " + sources.error().message);
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
