// An address to listen on, in the notation of --web.listen-address and Go's net.Listen.
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
  // `:9579`: IPv6 and IPv4-mapped IPv6, or IPv4 alone if the kernel has no IPv6.
  bool any_family = false;

  [[nodiscard]] bool IsUnix() const { return address.ss_family == AF_UNIX; }
  // The socket file; empty unless IsUnix().
  [[nodiscard]] std::string UnixPath() const;
};

// `:9579`, `127.0.0.1:9579`, `[::1]:9579`, `[fe80::1%eth0]:9579`, `localhost:9579`,
// `unix:/path`. Resolves nothing but `localhost`. Pure. Port 0 lets the kernel choose.
[[nodiscard]] Result<ListenAddress> ParseListenAddress(std::string_view text);

}  // namespace iperf3_exporter
