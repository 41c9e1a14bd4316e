// Sockets that listen: opened from an address, or taken over from systemd.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"
#include "supervisor/listen/listen_address.h"

namespace iperf3_exporter {

// A listening stream socket, non-blocking and close-on-exec. Removes its unix socket file
// when it ends, if it made it and nobody has replaced it since.
class ListeningSocket {
 public:
  // A socket file in the way is replaced only if it is a socket and nobody listens on it.
  [[nodiscard]] static Result<ListeningSocket> Open(const ListenAddress& address);
  // The sockets of LISTEN_FDS, which is cleared. Fails when there is none or one does not listen.
  [[nodiscard]] static Result<std::vector<ListeningSocket>> AdoptFromSystemd();

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  [[nodiscard]] int fd() const { return fd_.get(); }
  // The address that it is bound to, the real port in place of 0: "127.0.0.1:9579",
  // "[::]:9579", "unix:/path".
  [[nodiscard]] std::string Name() const;

 private:
  explicit ListeningSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  std::string unix_path_;  // Set when the file is ours to remove.
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path", "unix"; IPv4 mapped into IPv6 reads as IPv4.
[[nodiscard]] std::string SocketAddressText(const sockaddr* address, socklen_t length);

}  // namespace iperf3_exporter
