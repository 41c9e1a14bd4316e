#include "supervisor/probe/route.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

constexpr char kUnknown[] = "unknown";

int FamilyOf(const IpAddress& address) { return address.is_v6 ? AF_INET6 : AF_INET; }
std::size_t BytesOf(const IpAddress& address) {
  return address.is_v6 ? sizeof(in6_addr) : sizeof(in_addr);
}

// Large enough for both families.
sockaddr_in6 ToSocketAddress(const IpAddress& address, std::uint16_t port) {
  sockaddr_in6 v6 = {};
  if (address.is_v6) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
    v6.sin6_scope_id = address.scope_id;
  } else {
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
    std::memcpy(&v6, &v4, sizeof v4);
  }
  return v6;
}

IpAddress FromSocketAddress(const sockaddr_in6& from) {
  IpAddress address;
  address.is_v6 = from.sin6_family == AF_INET6;
  if (address.is_v6) {
    std::memcpy(address.bytes.data(), &from.sin6_addr, sizeof from.sin6_addr);
    address.scope_id = from.sin6_scope_id;
  } else {
    sockaddr_in v4 = {};
    std::memcpy(&v4, &from, sizeof v4);
    std::memcpy(address.bytes.data(), &v4.sin_addr, sizeof v4.sin_addr);
  }
  return address;
}

// A connected UDP socket has the source address that a test would have.
std::optional<IpAddress> FindSource(const TargetPath& path, std::uint16_t port,
                                    const std::string& device) {
  const UniqueFd fd(::socket(FamilyOf(path.address), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return std::nullopt;
  sockaddr_in6 address = {};
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!device.empty() && ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(),
                                      static_cast<socklen_t>(device.size() + 1)) != 0) {
    return std::nullopt;
  }
  if (path.source) {
    address = ToSocketAddress(*path.source, 0);
    if (::bind(fd.get(), generic, size) != 0) return std::nullopt;
  }
  address = ToSocketAddress(path.address, port);
  if (::connect(fd.get(), generic, size) != 0) return std::nullopt;
  if (::getsockname(fd.get(), generic, &size) != 0) return std::nullopt;
  return FromSocketAddress(address);
}

// A request of rtnetlink(7) for the route to one address.
class RouteRequest {
 public:
  explicit RouteRequest(const IpAddress& target) {
    message_.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg));
    message_.header.nlmsg_type = RTM_GETROUTE;
    message_.header.nlmsg_flags = NLM_F_REQUEST;
    message_.route.rtm_family = static_cast<unsigned char>(FamilyOf(target));
    Add(RTA_DST, {target.bytes.data(), BytesOf(target)});
    message_.route.rtm_dst_len = static_cast<unsigned char>(8 * BytesOf(target));
  }

  void SetSource(const IpAddress& source) {
    Add(RTA_SRC, {source.bytes.data(), BytesOf(source)});
    message_.route.rtm_src_len = static_cast<unsigned char>(8 * BytesOf(source));
  }

  void SetInterface(std::uint32_t index) {
    Add(RTA_OIF, {reinterpret_cast<const std::uint8_t*>(&index), sizeof index});
  }

  // The kernel answers inside the call. 0: no route, or it may not be asked.
  [[nodiscard]] std::uint32_t FindInterface() const {
    const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd || ::send(fd.get(), &message_, message_.header.nlmsg_len, 0) < 0) return 0;
    std::array<char, 4096> answer{};
    const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    nlmsghdr header = {};
    std::memcpy(&header, answer.data(), sizeof header);
    if (got < ssize_t{sizeof header} || header.nlmsg_type != RTM_NEWROUTE) return 0;
    return ReadInterface(
        {answer.data(), std::min(static_cast<std::size_t>(got), std::size_t{header.nlmsg_len})});
  }

 private:
  void Add(unsigned short type, std::span<const std::uint8_t> value) {
    auto* end = reinterpret_cast<char*>(&message_) + NLMSG_ALIGN(message_.header.nlmsg_len);
    const rtattr head = {.rta_len = static_cast<unsigned short>(RTA_LENGTH(value.size())),
                         .rta_type = type};
    std::memcpy(end, &head, sizeof head);
    std::memcpy(end + RTA_LENGTH(0), value.data(), value.size());
    message_.header.nlmsg_len += static_cast<std::uint32_t>(RTA_SPACE(value.size()));
  }

  // Looks for the attribute in an answer.
  static std::uint32_t ReadInterface(std::string_view answer) {
    rtattr head = {};
    std::size_t at = NLMSG_SPACE(sizeof(rtmsg));
    while (at + sizeof head <= answer.size()) {
      std::memcpy(&head, answer.data() + at, sizeof head);
      std::uint32_t index = 0;
      if (head.rta_type == RTA_OIF && at + RTA_LENGTH(sizeof index) <= answer.size()) {
        std::memcpy(&index, answer.data() + at + RTA_LENGTH(0), sizeof index);
        return index;
      }
      at += std::max(std::size_t{RTA_ALIGN(head.rta_len)}, sizeof head);
    }
    return 0;
  }

  struct {
    nlmsghdr header;
    rtmsg route;
    char attributes[64];  // three, of at most 20 bytes
  } message_ = {};
};

}  // namespace

std::string FindRoute(const TargetPath& path, std::uint16_t port, const std::string& device) {
  const auto source = FindSource(path, port, device);
  if (!source) return kUnknown;
  RouteRequest request(path.address);
  request.SetSource(*source);
  // A link-local address says its interface itself.
  const std::uint32_t asked =
      device.empty() ? path.address.scope_id : ::if_nametoindex(device.c_str());
  if (asked != 0) request.SetInterface(asked);
  return ToString(*source) + " dev " + std::to_string(request.FindInterface());
}

}  // namespace iperf3_exporter
