// A response, and how it is written to a connection.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "supervisor/http/http_types.h"

struct bufferevent;

namespace iperf3_exporter {

struct HttpResponse {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // If set, sent in place of `body`, by reference and as it is: for a page of many megabytes, which
  // must be neither copied nor compressed on the loop thread. Released there once it is sent, or
  // once the client has gone.
  std::shared_ptr<const std::string> shared_body;
  std::string_view shared_body_encoding;  // "gzip", or empty
  // False omits Content-Length: for HEAD where the length that GET would send is unknown. RFC
  // 9110, 8.6 forbids sending a different one.
  bool length_known = true;
  // Additional fields. WriteResponse itself adds Content-Length, Content-Type, Content-Encoding,
  // Date, Vary and Connection.
  HttpHeaders headers;
};

struct ResponseOptions {
  bool omits_body = false;  // for HEAD: the same header fields, no body
  bool accepts_gzip = false;
  bool keep_alive = false;  // the client may send another request
  bool is_http_1_0 = false;
  const HttpHeaders* extra_headers = nullptr;  // of the web configuration; may be null
};

// Writes the response to `bev`, compressed if that makes it shorter. What the kernel does not
// accept at once waits in the output buffer of `bev`. Errors of the socket are reported
// through the event callback of `bev`. Under TLS the write callback of `bev` may run before this
// function returns.
void WriteResponse(bufferevent* bev, const HttpResponse& response, const ResponseOptions& options);

}  // namespace iperf3_exporter
