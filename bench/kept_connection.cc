#include "bench/kept_connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "bench/measure.h"

namespace iperf3_exporter::bench {

sockaddr_in LoopbackAddress(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

KeptConnection::KeptConnection(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in address = LoopbackAddress(port);
  if (::connect(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Die("connect");
  }
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void KeptConnection::Ask(const std::string& path_and_query, std::chrono::seconds scrape_timeout,
                         const std::string& more_fields) {
  const std::string request =
      "GET " + path_and_query +
      " HTTP/1.1\r\nHost: localhost:9579\r\nUser-Agent: Prometheus/2.53.0\r\nAccept: "
      "text/plain\r\nX-Prometheus-Scrape-Timeout-Seconds: " +
      std::to_string(scrape_timeout.count()) + "\r\n" + more_fields + "\r\n";
  response_.clear();
  response_bytes_ = 0;
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
  response_.append(chunk.data(), static_cast<std::size_t>(got));
  if (response_bytes_ == 0) {
    const std::size_t head = response_.find(kHeadEnd);
    if (head == std::string::npos) return false;
    const std::size_t length = response_.find(kLength);
    if (length > head) Die("no Content-Length:\n" + response_);
    response_bytes_ = head + kHeadEnd.size() +
                      std::strtoul(response_.c_str() + length + kLength.size(), nullptr, 10);
  }
  if (response_.size() > response_bytes_) Die("more bytes than Content-Length");
  return response_.size() == response_bytes_;
}

}  // namespace iperf3_exporter::bench
