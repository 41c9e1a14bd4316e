// One HTTP request and its one answer.
//
// A handler is given a shared_ptr and may keep it as long as it needs to answer. Everything here
// belongs on the loop thread. An exchange that is dropped unanswered is answered with 500, so that
// no client waits for ever.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/deadline.h"
#include "supervisor/http/http_types.h"

namespace iperf3_exporter {

class HttpConnection;

class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  // "GET", "HEAD", "POST": one of the route's.
  [[nodiscard]] const std::string& method() const { return method_; }
  // Percent-decoded, without the query. Equal to the route's path.
  [[nodiscard]] const std::string& path() const { return path_; }
  // After the `?`, raw and undecoded; empty when there is none. Without spaces and control
  // bytes, but there may be any bytes above ASCII.
  [[nodiscard]] const std::string& query() const { return query_; }
  // When the whole request had come; what was done with it since (checking a password) included in
  // whatever counts from here.
  [[nodiscard]] Deadline received_at() const { return received_at_; }
  // "192.0.2.1:4711", "[2001:db8::1]:4711" or "unix"; for log lines.
  [[nodiscard]] const std::string& peer() const { return peer_; }
  // The first header field of that name, in any case of letters. Valid until Reply or disconnect.
  [[nodiscard]] virtual std::optional<std::string_view> Header(const char* name) const = 0;
  // False once replied to or once the client has gone.
  [[nodiscard]] virtual bool IsPending() const = 0;

  // Sends the answer, at most once; does nothing when the client has gone. Content-Length is set
  // when it is known; the body is left out for HEAD and compressed when the client accepts gzip and
  // it pays.
  virtual void Reply(HttpResponse response) = 0;

  // `callback` runs at most once, when the client goes away before Reply, or when the server ends;
  // never after Reply and never inside this call. Destroying the exchange in it is allowed. It is
  // dropped, with all it holds, when it has run or at Reply.
  virtual void OnDisconnect(std::function<void()> callback) = 0;

 protected:
  HttpExchange() = default;

  std::string method_;
  std::string path_;
  std::string query_;
  std::string peer_;

 private:
  const Deadline received_at_ = Clock::now();
};

}  // namespace iperf3_exporter
