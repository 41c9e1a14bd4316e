#include "bench/kept_connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "bench/measure.h"

namespace iperf3_exporter::bench {

KeptConnection::KeptConnection(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Die("connect");
  }
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void KeptConnection::Ask(std::string_view path_and_query) {
  std::string request = "GET ";
  request.append(path_and_query) +=
      " HTTP/1.1\r\nHost: localhost:9579\r\nUser-Agent: Prometheus/2.53.0\r\nAccept: "
      "text/plain\r\nX-Prometheus-Scrape-Timeout-Seconds: 30\r\n\r\n";
  answer_.clear();
  answer_bytes_ = 0;
  if (::send(fd(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    Die("send");
  }
}

bool KeptConnection::Read() {
  constexpr std::string_view kHeadEnd = "\r\n\r\n";
  constexpr std::string_view kLength = "Content-Length: ";
  std::array<char, 16384> chunk;
  const ssize_t got = ::recv(fd(), chunk.data(), chunk.size(), 0);
  if (got <= 0) Die("the exporter closed the connection");
  answer_.append(chunk.data(), static_cast<std::size_t>(got));
  if (answer_bytes_ == 0) {
    const std::size_t head = answer_.find(kHeadEnd);
    if (head == std::string::npos) return false;
    const std::size_t length = answer_.find(kLength);
    if (length > head) Die("no Content-Length:\n" + answer_);
    answer_bytes_ = head + kHeadEnd.size() +
                    std::strtoul(answer_.c_str() + length + kLength.size(), nullptr, 10);
  }
  if (answer_.size() > answer_bytes_) Die("more bytes than Content-Length says");
  return answer_.size() == answer_bytes_;
}

}  // namespace iperf3_exporter::bench
