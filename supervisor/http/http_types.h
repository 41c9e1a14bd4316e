// What the HTTP server and its users share: limits, counters, header fields.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace iperf3_exporter {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// Bounds on what a client can make the server hold or wait for.
struct HttpLimits {
  // Connections held at once (--web.max-connections). Beyond it a new connection replaces one that
  // has no request pending; without such a one, the new connection is closed.
  std::size_t max_connections = 512;
  // Request line and header fields together; beyond it 414 or 431 and the connection ends. Also the
  // bound on what a client may send while its request is pending; beyond it the connection is
  // closed.
  std::size_t max_header_bytes = std::size_t{16} << 10;
  // Header fields of one request; beyond it 431.
  std::size_t max_header_fields = 100;
  // Beyond it 413 and the connection ends.
  std::size_t max_body_bytes = std::size_t{16} << 10;
  // Bytes of a streamed response that its client has not yet accepted; beyond it the connection is
  // closed.
  std::size_t max_stream_backlog_bytes = std::size_t{256} << 10;
  // From accept, or from the first byte of a later request, to the end of its body; the TLS
  // handshake is inside. One total: a byte now and then does not extend it.
  std::chrono::milliseconds request_timeout = std::chrono::seconds(10);
  // Between requests. Longer than the usual scrape interval, so that scrapers keep a connection.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(120);
  // From the response to the moment when the kernel has its last byte. One total, as above. Beyond
  // it the connection is closed.
  std::chrono::milliseconds write_timeout = std::chrono::seconds(10);
  // How long a client may take to close after the last response. Its input is dropped meanwhile.
  std::chrono::milliseconds linger_timeout = std::chrono::seconds(2);
};

// Counters of the server, read for /metrics. Loop thread only.
struct HttpStatistics {
  std::size_t connections = 0;
  // Closed or refused because of a limit: too many connections, too long a head or body, too slow.
  std::uint64_t connections_rejected = 0;
  // (path of a route or "other", status code) -> responses. No key comes from a client.
  std::map<std::pair<std::string, int>, std::uint64_t> requests;
};

}  // namespace iperf3_exporter
