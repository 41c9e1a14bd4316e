// What the connections of one HTTP server share. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/deadline.h"
#include "common/logging.h"
#include "supervisor/http/http_types.h"

struct event_base;
struct evhttp_connection;

namespace iperf3_exporter {

class HttpConnection;
class EvhttpExchange;

// evhttp checks our limits too, after us: this much above our own, so that it is we who answer. So
// much above them the bytes of a connection stay in the kernel, too.
inline constexpr std::size_t kSlackBytes = 4096;

// What clients can make happen as often as they like, in the log: at most one line a second, with
// how many it stands for. The others go out at debug level.
class RejectionLog {
 public:
  RejectionLog(LogLevel level, const char* message) : level_(level), message_(message) {}
  void Add(std::string_view reason, const std::string& peer);

 private:
  LogLevel level_;
  const char* message_;
  Clock::time_point next_{};
  std::uint64_t unsaid_ = 0;
};

struct ServerState {
  event_base* base = nullptr;
  HttpLimits limits;
  HttpStatistics statistics;
  RejectionLog rejections{LogLevel::kWarn, "http connection refused"};
  RejectionLog handshakes{LogLevel::kInfo, "tls handshake refused"};
  // No further request after the one in hand: every answer ends its connection.
  bool draining = false;
  // Headers that the web configuration adds to every answer.
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> extra_headers;

  std::unordered_map<evhttp_connection*, std::unique_ptr<HttpConnection>> connections;

  // A well-formed request has come.
  std::function<void(const std::shared_ptr<EvhttpExchange>&)> on_request;
  // Which route's path a request for `path` is counted under: itself or "other".
  std::function<const std::string&(const std::string& path)> label_of;
  // Calls the connection's OnDeferred once the callbacks of libevent that run now are over.
  std::function<void(HttpConnection*)> defer;
  // A connection has ended and must be forgotten; destroys it.
  std::function<void(HttpConnection*)> on_closed;

  void CountRejection(std::string_view reason, const std::string& peer) {
    ++statistics.connections_rejected;
    rejections.Add(reason, peer);
  }
};

}  // namespace iperf3_exporter
