// What the HTTP server and its users share: limits, counters, an answer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace iperf3_exporter {

// Bounds on what a client can make us hold or wait for.
struct HttpLimits {
  // Connections held at once; a further one is closed at once and counted (--web.max-connections).
  std::size_t max_connections = 512;
  // Request line and header fields together; beyond it 431 and the connection is closed. So much
  // may be sent behind a request that waits for its answer, too; beyond it the connection is
  // closed.
  std::size_t max_header_bytes = std::size_t{16} << 10;
  // Header fields of one request; beyond it 431.
  std::size_t max_header_fields = 100;
  // No path here needs a body; beyond it 413 and the connection is closed.
  std::size_t max_body_bytes = std::size_t{8} << 10;
  // From accept, or from the first byte of a later request, to the end of its header fields
  // and body; the TLS handshake is inside. One total, so that a byte now and then gains nothing.
  std::chrono::milliseconds request_timeout = std::chrono::seconds(10);
  // Between requests. Longer than a usual scrape interval costs a connection, shorter a handshake.
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(120);
  // From the answer to its last byte's being with the kernel: one total, so that taking a byte now
  // and then gains nothing. Beyond it the connection is closed.
  std::chrono::milliseconds write_timeout = std::chrono::seconds(10);
};

// Counters of the server, read when /metrics is asked for. Loop thread only.
struct HttpStatistics {
  std::size_t connections = 0;
  // Closed or answered because of a limit: too many connections, too long a head or body, too slow.
  std::uint64_t connections_rejected = 0;
  // (path of a route or "other", status code) -> answers. No key comes from a client.
  std::map<std::pair<std::string, int>, std::uint64_t> requests;
  // Of the web configuration file; the time is Unix seconds, 0 before the first success.
  bool last_reload_successful = true;
  double last_reload_success_seconds = 0;
};

// The bytes of an answer: immutable and shared, so that a page built once is sent many times
// without a copy.
class HttpBody {
 public:
  HttpBody() = default;
  // Whatever text a page is made of, without a word about it.
  // NOLINTBEGIN(google-explicit-constructor)
  HttpBody(std::string text)
      : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
  HttpBody(const char* text) : HttpBody(std::string(text)) {}
  HttpBody(std::shared_ptr<const std::string> text) : text_(std::move(text)) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] std::size_t size() const { return text_ ? text_->size() : 0; }
  // Null when there is nothing.
  [[nodiscard]] const std::shared_ptr<const std::string>& text() const { return text_; }

 private:
  std::shared_ptr<const std::string> text_;
};

struct HttpResponse {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  HttpBody body;
  // False: the answer to a HEAD whose GET would say what nobody knows yet. It goes out without
  // Content-Length, because RFC 9110, 8.6 allows no other than GET's.
  bool length_known = true;
  // Content-Length, Content-Type, Content-Encoding, Date and Connection are the server's.
  std::vector<std::pair<std::string, std::string>> headers;
};

}  // namespace iperf3_exporter
