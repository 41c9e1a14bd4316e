// One HTTP request and its one response.
//
// A handler keeps its shared_ptr until it has replied. Loop thread only. The destructor replies
// with 500 if nobody has, so that no client waits forever.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/deadline.h"
#include "supervisor/http/http_response.h"
#include "supervisor/http/request_head.h"

namespace iperf3_exporter {

class HttpConnection;

class HttpExchange {
 public:
  // `connection` must live until Reply or OnConnectionClosed.
  HttpExchange(HttpConnection* connection, RequestHead head, std::string body);
  ~HttpExchange();
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  // In a handler, one of the route's methods.
  [[nodiscard]] const std::string& method() const { return head_.method; }
  // Percent-decoded, without the query. In a handler, the route's path.
  [[nodiscard]] const std::string& path() const { return head_.target.path; }
  // What follows the `?`, not decoded; empty without one. Free of spaces and control bytes; bytes
  // above ASCII are possible.
  [[nodiscard]] const std::string& query() const { return head_.target.query; }
  // At most HttpLimits::max_body_bytes.
  [[nodiscard]] const std::string& body() const { return body_; }
  // When the whole request had arrived, before its password was checked.
  [[nodiscard]] TimePoint received_at() const { return received_at_; }
  // "192.0.2.1:4711", "[2001:db8::1]:4711" or "unix".
  [[nodiscard]] const std::string& peer() const { return peer_; }
  // The first header field of that name, case-insensitive. Valid as long as this.
  [[nodiscard]] std::optional<std::string_view> Header(std::string_view name) const {
    return head_.Field(name);
  }
  // False after the reply or when the client has gone.
  [[nodiscard]] bool IsPending() const { return connection_ != nullptr; }

  // Marks the connection as authorized. To make room for new connections, unauthorized ones are
  // closed first.
  void MarkAuthorized();

  // Sends the response, at most once; does nothing when the client has gone.
  void Reply(const HttpResponse& response);

  // Calls `callback` at most once: when the client goes away before Reply, or when the server
  // ends. Never inside a call of this class. The callback may destroy the exchange. The callback
  // itself is destroyed after its call, or at Reply.
  void OnDisconnect(std::function<void()> callback);

  // From the connection, once: the client has gone.
  void OnConnectionClosed();

 private:
  HttpConnection* connection_;
  RequestHead head_;
  std::string body_;
  std::string peer_;
  std::function<void()> on_disconnect_;
  const TimePoint received_at_ = Clock::now();
};

}  // namespace iperf3_exporter
