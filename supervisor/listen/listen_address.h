// An address to listen on, as in --web.listen-address: like Go's net.Listen, but with no host name
// other than localhost, and with unix:/PATH.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "common/error.h"

namespace iperf3_exporter {

struct ListenAddress {
  // As given; for log messages.
  std::string text;
  sockaddr_storage address{};
  socklen_t length = 0;
  // True for `:9579` and `[::]:9579`: IPv6 and IPv4, or only IPv4 if the kernel has no IPv6.
  bool any_family = false;

  [[nodiscard]] bool IsUnix() const { return address.ss_family == AF_UNIX; }
  // The socket file; empty unless IsUnix().
  [[nodiscard]] std::string UnixPath() const;
};

// `:9579`, `127.0.0.1:9579`, `[::1]:9579`, `[fe80::1%eth0]:9579`, `localhost:9579`,
// `unix:/path`. Resolves nothing but `localhost`. Pure. Port 0 lets the kernel choose. The error
// says what is expected.
[[nodiscard]] Result<ListenAddress> ParseListenAddress(std::string_view text);

// Whether the kernel refuses to listen on both. Follows the links in the paths of socket files.
[[nodiscard]] bool Overlap(const ListenAddress& a, const ListenAddress& b);

}  // namespace iperf3_exporter
