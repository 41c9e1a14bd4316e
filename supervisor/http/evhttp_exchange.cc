#include "supervisor/http/evhttp_exchange.h"

#include <event2/http.h>

#include <utility>

#include "supervisor/http/compression.h"
#include "supervisor/http/http_connection.h"
#include "supervisor/http/request_head.h"

namespace iperf3_exporter {

EvhttpExchange::EvhttpExchange(HttpConnection* connection, evhttp_request* request,
                               std::string method, RequestTarget target, std::string peer)
    : connection_(connection), request_(request) {
  method_ = std::move(method);
  path_ = std::move(target.path);
  query_ = std::move(target.query);
  peer_ = std::move(peer);
}

EvhttpExchange::~EvhttpExchange() {
  if (!IsPending()) return;
  HttpResponse response;
  response.code = 500;
  response.body = "the request was dropped\n";
  Reply(std::move(response));
}

std::optional<std::string_view> EvhttpExchange::Header(const char* name) const {
  if (!IsPending()) return std::nullopt;
  const char* value = evhttp_find_header(evhttp_request_get_input_headers(request_), name);
  if (value == nullptr) return std::nullopt;
  return value;
}

void EvhttpExchange::Reply(HttpResponse response) {
  if (!IsPending()) return;
  const auto accepted = Header("Accept-Encoding");
  const bool gzip = accepted && AcceptsGzip(*accepted);
  HttpConnection* connection = std::exchange(connection_, nullptr);
  evhttp_request* request = std::exchange(request_, nullptr);
  // What the callbacks hold may be this exchange itself: freed last.
  const auto dropped = std::exchange(on_disconnect_, nullptr);
  connection->Send(request, std::move(response), method_, path_, gzip);
}

void EvhttpExchange::OnDisconnect(std::function<void()> callback) {
  if (IsPending()) on_disconnect_ = std::move(callback);
}

void EvhttpExchange::OnConnectionLost() {
  connection_ = nullptr;
  // evhttp has given it up: the handler was still to answer it.
  evhttp_request_free(std::exchange(request_, nullptr));
  const auto callback = std::exchange(on_disconnect_, nullptr);
  if (callback) callback();
}

const char* ReasonPhrase(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

}  // namespace iperf3_exporter
