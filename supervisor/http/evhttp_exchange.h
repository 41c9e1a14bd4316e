// HttpExchange on an evhttp request.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "supervisor/http/http_exchange.h"

struct evhttp_request;

namespace iperf3_exporter {

class HttpConnection;
struct RequestTarget;

class EvhttpExchange final : public HttpExchange {
 public:
  // `request` is owned by its connection until OnConnectionLost.
  EvhttpExchange(HttpConnection* connection, evhttp_request* request, std::string method,
                 RequestTarget target, std::string peer);
  ~EvhttpExchange() override;

  [[nodiscard]] std::optional<std::string_view> Header(const char* name) const override;
  [[nodiscard]] bool IsPending() const override { return connection_ != nullptr; }
  void Reply(HttpResponse response) override;
  void OnDisconnect(std::function<void()> callback) override;

  // From the connection, once: the client has gone. `request` must not be used afterwards.
  void OnConnectionLost();

 private:
  HttpConnection* connection_;
  evhttp_request* request_;
  std::function<void()> on_disconnect_;
};

// "OK", "Not Found"; never null.
[[nodiscard]] const char* ReasonPhrase(int code);

}  // namespace iperf3_exporter
