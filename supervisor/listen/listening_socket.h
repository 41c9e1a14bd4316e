// Listening sockets, opened by address or passed by systemd.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"
#include "supervisor/listen/listen_address.h"

namespace iperf3_exporter {

// A listening stream socket, non-blocking and close-on-exec. The destructor removes the UNIX socket
// file that Open created, unless it has been replaced since.
class ListeningSocket {
 public:
  // Fails as Open would with a socket file, unless somebody listens on it: its directory must be
  // able to hold one, and this user must be able to replace a file that exists. Creates and deletes
  // a file in the directory to find out.
  [[nodiscard]] static Status Check(const ListenAddress& address);
  // An existing file is replaced only if it is a socket and nobody listens on it.
  [[nodiscard]] static Result<ListeningSocket> Open(const ListenAddress& address);
  // The number of sockets in LISTEN_FDS.
  [[nodiscard]] static int CountFromSystemd();
  // Takes over the sockets that systemd passed, and unsets LISTEN_FDS. Fails if there is none or if
  // one is not a listening stream socket.
  [[nodiscard]] static Result<std::vector<ListeningSocket>> AdoptFromSystemd();

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  [[nodiscard]] int fd() const { return fd_.get(); }
  // The bound address, with the port that the kernel chose for port 0: "127.0.0.1:9579",
  // "[::]:9579", "unix:/path".
  [[nodiscard]] std::string Name() const;

 private:
  explicit ListeningSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  std::string unix_path_;  // of the file to remove; empty: none
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path", "unix"; IPv4-mapped IPv6 as IPv4.
[[nodiscard]] std::string SocketAddressText(const sockaddr* address, socklen_t length);

}  // namespace iperf3_exporter
