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
#include "supervisor/http/http_types.h"

struct event_base;
struct evhttp_connection;

namespace iperf3_exporter {

class HttpConnection;
class EvhttpExchange;

// Refusals in the log: at most one line a second, with how many it stands for.
class RejectionLog {
 public:
  void Add(std::string_view reason, const std::string& peer);

 private:
  Clock::time_point next_{};
  std::uint64_t unsaid_ = 0;
};

struct ServerState {
  event_base* base = nullptr;
  HttpLimits limits;
  HttpStatistics statistics;
  RejectionLog rejections;
  // No further request after the one in hand: every answer ends its connection.
  bool draining = false;
  // Headers that the web configuration adds to every answer.
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> extra_headers;

  std::unordered_map<evhttp_connection*, std::unique_ptr<HttpConnection>> connections;

  // A well-formed request has come.
  std::function<void(std::shared_ptr<EvhttpExchange>)> on_request;
  // Which route's path a request for `path` is counted under: itself or "other".
  std::function<const std::string&(const std::string& path)> label_of;
  // What Allow says for `path`; empty when there is no such route.
  std::function<std::string(const std::string& path)> allow_of;
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
