// What the connections of one HTTP server share. Loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/limited_log.h"
#include "supervisor/http/http_types.h"

struct event_base;

namespace iperf3_exporter {

class HttpConnection;
class HttpExchange;

struct HttpContext {
  event_base* base = nullptr;
  HttpLimits limits;
  HttpStatistics statistics;
  LimitedLog rejections{LogLevel::kWarn, "http connection refused"};
  LimitedLog failed_handshakes{LogLevel::kInfo, "tls handshake refused"};
  // Every response ends its connection.
  bool draining = false;

  // A well-formed request has arrived.
  std::function<void(std::shared_ptr<HttpExchange>)> on_request;
  // A response is being sent to a request for `path`; empty if no path is known.
  std::function<void(const std::string& path, int code)> on_response;
  // Fields to add to every response; may return null.
  std::function<std::shared_ptr<const HttpHeaders>()> response_headers;
  // The connection has ended: destroy it.
  std::function<void(HttpConnection*)> on_closed;

  void CountRejection(std::string_view reason, const std::string& peer) {
    ++statistics.connections_rejected;
    rejections.Add(reason, peer);
  }
};

}  // namespace iperf3_exporter
