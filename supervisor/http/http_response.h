// A response, and how it is written to a connection.
#pragma once

#include <string>

#include "supervisor/http/http_types.h"

struct bufferevent;

namespace iperf3_exporter {

struct HttpResponse {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  // False: no Content-Length. For a HEAD whose GET has a body that is not known yet (RFC 9110, 8.6
  // allows no other length).
  bool length_known = true;
  // The server adds Content-Length, Content-Type, Content-Encoding, Date, Vary and Connection.
  HttpHeaders headers;
};

struct ResponseOptions {
  bool head = false;        // of a HEAD request: the same header fields, no body
  bool gzip = false;        // the client accepts it
  bool keep_alive = false;  // the client may send another request
  bool is_http_1_0 = false;
  const HttpHeaders* extra_headers = nullptr;  // of the web configuration; may be null
};

// Writes the response to `bev`, compressed if that makes it shorter. What the kernel does not
// accept at once waits in the output buffer of `bev`. Errors of the socket are reported by the
// callbacks of `bev`. Under TLS its write callback may run inside this call.
void WriteResponse(bufferevent* bev, const HttpResponse& response, const ResponseOptions& options);

}  // namespace iperf3_exporter
