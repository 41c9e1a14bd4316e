// Parses the head of an HTTP/1 request strictly.
//
// RFC 9112 lets a server repair much (bare LF, folded fields, repeated lengths). A proxy that
// repairs it differently allows request smuggling. So any deviation is refused and the connection
// ends. Pure functions over bytes of an untrusted client.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "supervisor/http/http_types.h"

namespace iperf3_exporter {

// Why a head is refused.
struct HeadError {
  int code = 400;           // HTTP status code
  std::string_view reason;  // static text for the client and the log
};

struct RequestTarget {
  std::string path;   // percent-decoded, never empty
  std::string query;  // raw, after the first `?`
};

struct RequestHead {
  std::string method;
  RequestTarget target;
  // Whether the HTTP version and the Connection fields allow another request.
  bool keep_alive = false;
  bool is_http_1_0 = false;
  std::size_t body_bytes = 0;
  std::string fields;  // every field line with its CRLF

  // The value of the first field of that name, case-insensitive. Valid as long as this.
  [[nodiscard]] std::optional<std::string_view> Field(std::string_view name) const;
};

// Returns the length of the head with its empty line; nothing while it is incomplete. `bytes` is
// all that has arrived; the first `seen` of them are known to contain no end. Bare LFs end a head
// too: ParseRequestHead then refuses it without waiting for more.
[[nodiscard]] std::optional<std::size_t> FindHeadEnd(std::string_view bytes, std::size_t seen = 0);

// Refuses an incomplete head that can't become valid: bytes that are not HTTP (a TLS hello), a bad
// request line, too many bytes. `seen` as above.
[[nodiscard]] std::optional<HeadError> CheckIncompleteHead(std::string_view bytes, std::size_t seen,
                                                           const HttpLimits& limits);

// Parses a complete head. Accepts any method; only POST, PUT, PATCH and DELETE may have a body.
[[nodiscard]] tl::expected<RequestHead, HeadError> ParseRequestHead(std::string_view head,
                                                                    const HttpLimits& limits);

// Accepts the origin form (`/path?query`) and the absolute form (`http://host/path?query`). Returns
// nothing for any other form, a character that no host or port contains, bad percent-encoding in
// the path, or a control byte in the decoded path.
[[nodiscard]] std::optional<RequestTarget> ParseTarget(std::string_view target);

}  // namespace iperf3_exporter
