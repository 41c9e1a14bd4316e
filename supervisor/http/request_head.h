// Reads the head of an HTTP/1 request strictly.
//
// RFC 9112 lets a server repair much (bare LF, folded fields, repeated lengths). A proxy in front
// of us may repair it differently; that difference is how one request is smuggled inside another.
// So nothing is repaired here: any deviation is refused and the connection ends. Pure functions
// over bytes of an untrusted client.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace iperf3_exporter {

// Why a head is refused.
struct HeadError {
  int code = 400;           // HTTP status code
  std::string_view reason;  // static text for the client and the log
};

struct HeadLimits {
  std::size_t max_bytes = 0;
  std::size_t max_fields = 0;
  std::size_t max_body_bytes = 0;
};

struct RequestTarget {
  std::string path;   // percent-decoded, never empty
  std::string query;  // raw, after the first `?`
};

struct RequestHead {
  std::string method;
  RequestTarget target;
  // What HTTP version and Connection fields together say about the next request.
  bool keep_alive = false;
  bool is_http_1_0 = false;
  std::size_t body_bytes = 0;
  std::string fields;  // every field line with its CRLF

  // The value of the first field with that name, in any case of letters. Valid as long as this.
  [[nodiscard]] std::optional<std::string_view> Field(std::string_view name) const;
};

// Returns the length of the head with its empty line; nothing while it is incomplete. `bytes` is
// all that has arrived; the first `seen` of them are known to hold no end. Bare LFs end a head too,
// so that ParseRequestHead refuses it at once.
[[nodiscard]] std::optional<std::size_t> FindHeadEnd(std::string_view bytes, std::size_t seen = 0);

// Checks an incomplete head for what can't become right any more: bytes that are no HTTP (a TLS
// hello), a wrong request line, too many bytes. `seen` as above.
[[nodiscard]] std::optional<HeadError> CheckIncompleteHead(std::string_view bytes, std::size_t seen,
                                                           const HeadLimits& limits);

// Parses a complete head. Accepts any method; only some of those that are known may have a body.
[[nodiscard]] tl::expected<RequestHead, HeadError> ParseRequestHead(std::string_view head,
                                                                    const HeadLimits& limits);

// Accepts the origin form (`/path?query`) and the absolute form (`http://host/path?query`). Returns
// nothing for any other form, an impossible host or port, bad percent-encoding in the path, or a
// decoded control byte in it.
[[nodiscard]] std::optional<RequestTarget> ParseTarget(std::string_view target);

}  // namespace iperf3_exporter
