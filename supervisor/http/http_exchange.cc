#include "supervisor/http/http_exchange.h"

#include <utility>

#include "supervisor/http/compression.h"
#include "supervisor/http/http_connection.h"

namespace iperf3_exporter {

HttpExchange::HttpExchange(HttpConnection* connection, RequestHead head, std::string body)
    : connection_(connection),
      head_(std::move(head)),
      body_(std::move(body)),
      peer_(connection->peer()) {}

HttpExchange::~HttpExchange() { Reply({.code = 500, .body = "the request was dropped\n"}); }

void HttpExchange::MarkAuthorized() {
  if (IsPending()) connection_->MarkAuthorized();
}

void HttpExchange::Reply(const HttpResponse& response) {
  if (!IsPending()) return;
  const auto encoding = Header("Accept-Encoding");
  // The callback may hold this exchange: destroyed last.
  const auto dropped = std::exchange(on_disconnect_, nullptr);
  std::exchange(connection_, nullptr)
      ->Respond(response, path(),
                {.omits_body = method() == "HEAD",
                 .accepts_gzip = encoding && AcceptsGzip(*encoding),
                 .keep_alive = head_.keep_alive,
                 .is_http_1_0 = head_.is_http_1_0});
}

void HttpExchange::OnDisconnect(std::function<void()> callback) {
  if (IsPending()) on_disconnect_ = std::move(callback);
}

void HttpExchange::OnConnectionClosed() {
  connection_ = nullptr;
  const auto callback = std::exchange(on_disconnect_, nullptr);
  if (callback) callback();
}

}  // namespace iperf3_exporter
