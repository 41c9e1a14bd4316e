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
  // False: goes out without Content-Length. For the response to a HEAD whose GET would have a
  // length that nobody knows yet (RFC 9110, 8.6 allows no other), and for a stream.
  bool length_known = true;
  // Content-Length, Content-Type, Content-Encoding, Date, Vary and Connection are the server's.
  HttpHeaders headers;
};

struct ResponseOptions {
  bool head = false;        // of a HEAD request: the same header fields, no body
  bool gzip = false;        // the client accepts it
  bool keep_alive = false;  // the client may send another request
  bool is_http_1_0 = false;
  const HttpHeaders* extra_headers = nullptr;  // of the web configuration; may be null
};

// Writes the response to `bev`, compressed if that pays. The kernel gets what it accepts at once,
// the rest waits in the output of `bev`. An error of the socket is left to the callbacks of `bev`.
// These may run inside this call: the write callback under TLS.
void WriteResponse(bufferevent* bev, const HttpResponse& response, const ResponseOptions& options);

}  // namespace iperf3_exporter
