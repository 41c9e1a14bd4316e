// What the HTTP server, its connections and its users share: limits, counters, callbacks. Loop
// thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/limited_log.h"

struct event_base;

namespace iperf3_exporter {

class HttpConnection;
class HttpExchange;

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// Bounds on what a client can make the server hold or wait for.
struct HttpLimits {
  // Connections at once (--web.max-connections). Beyond it a new connection replaces one without a
  // pending request; if there is none, the new one is closed.
  std::size_t max_connections = 512;
  // Request line and header fields together; beyond it 414 or 431 and the connection ends. Also
  // what a client may send while its request is pending; beyond it the connection is closed.
  std::size_t max_header_bytes = std::size_t{16} << 10;
  // Header fields of one request; beyond it 431.
  std::size_t max_header_fields = 100;
  // Beyond it 413 and the connection ends.
  std::size_t max_body_bytes = std::size_t{16} << 10;
  // From accept, or from the first byte of a later request, to the end of its body, TLS handshake
  // included. A total, which no further byte extends.
  std::chrono::milliseconds request_timeout = std::chrono::seconds(10);
  // Between requests. Longer than the usual scrape interval, so that scrapers keep a connection.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(120);
  // From the response to the moment when the kernel has its last byte. A total, as above. Beyond it
  // the connection is closed.
  std::chrono::milliseconds write_timeout = std::chrono::seconds(10);
  // How long a client may take to close after the last response. Its input is discarded meanwhile.
  std::chrono::milliseconds linger_timeout = std::chrono::seconds(2);
};

// Counters of the server, read for /metrics.
struct HttpStatistics {
  std::size_t connections = 0;
  // Closed or refused because of a limit: too many connections, too long a head or body, too slow.
  std::uint64_t connections_rejected = 0;
  // (path of a route or "other", status code) -> responses. No key comes from a client.
  std::map<std::pair<std::string, int>, std::uint64_t> requests;
};

// What the connections of one server share.
struct HttpContext {
  event_base* base = nullptr;
  HttpLimits limits;
  HttpStatistics statistics;
  LimitedLog rejections{LogLevel::kWarn, "http connection closed"};
  LimitedLog failed_handshakes{LogLevel::kInfo, "tls handshake refused"};
  // Every response ends its connection.
  bool draining = false;

  // A well-formed request has arrived.
  std::function<void(std::shared_ptr<HttpExchange>)> on_request;
  // A response is being sent to a request for `path`; empty if the path is unknown.
  std::function<void(const std::string& path, int code)> on_response;
  // Fields to add to every response; may return null.
  std::function<std::shared_ptr<const HttpHeaders>()> response_headers;
  // The connection has ended: destroy it.
  std::function<void(HttpConnection*)> on_closed;

  void CountRejection(std::string_view reason, const std::string& peer) {
    ++statistics.connections_rejected;
    rejections.Add(reason, {{"peer", peer}});
  }
};

}  // namespace iperf3_exporter
