// The head of an HTTP/1 request, checked as raw bytes before evhttp sees any of it.
//
// evhttp takes much that RFC 9112 forbids (bare LF, folded fields, repeated lengths, spaces before
// the colon); whoever stands before us may read the same bytes differently, and that is how one
// request is smuggled inside another. So nothing is repaired here: what is not exactly right is
// refused, and the connection ends. Pure functions over bytes of an untrusted client.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace iperf3_exporter {

// Why a head is refused: a status code of HTTP and a few words of ours.
struct HeadFault {
  int code = 400;
  std::string_view reason;
};

struct HeadLimits {
  std::size_t max_bytes = 0;
  std::size_t max_fields = 0;
  std::size_t max_body_bytes = 0;
};

// Looks for the end of a head in bytes that arrive bit by bit. Also ends at an empty line made
// of bare LFs, so that such a head is refused at once and not waited for.
class HeadScanner {
 public:
  // `bytes` is all that has come so far, the old bytes included. Returns the length of the head
  // with its empty line, or nothing as long as it is incomplete.
  std::optional<std::size_t> Scan(std::string_view bytes);

  // What is already known to be wrong with an incomplete head: bytes that are no HTTP (a TLS
  // hello), a wrong request line, too many bytes.
  [[nodiscard]] std::optional<HeadFault> EarlyFault(std::string_view bytes,
                                                    const HeadLimits& limits);

  void Reset() { *this = HeadScanner(); }

 private:
  std::size_t scanned_ = 0;
  std::size_t first_line_ = 0;  // with its line end; 0 while incomplete
  bool first_line_checked_ = false;
};

// A complete head. Nothing: it is right, as RFC 9112 has it, and its body has a known length within
// the limit. The method may be any; one that is not known has no body.
[[nodiscard]] std::optional<HeadFault> CheckHead(std::string_view head, const HeadLimits& limits);

// Whether evhttp has a name for it; it answers any other with a status line without a code.
[[nodiscard]] bool IsKnownMethod(std::string_view method);

struct RequestLine {
  std::string_view method;
  std::string_view target;
  std::string_view version;
};

// "METHOD SP TARGET SP VERSION" without its line end; nothing if it is not of that form. Does not
// judge the parts.
[[nodiscard]] std::optional<RequestLine> SplitRequestLine(std::string_view line);

// Whether evhttp takes the target for a path, whatever follows. It judges any other (`//host`, the
// absolute form) by rules of its own and answers by itself those that it dislikes.
[[nodiscard]] bool IsPlainPath(std::string_view target);

struct RequestTarget {
  std::string path;   // percent-decoded
  std::string query;  // raw, after the first `?`
};

// Origin form (`/path?query`) or absolute form (`http://host/path?query`). Nothing on any other
// form, a host or port that can be none, bad percent-encoding in the path, or a decoded control
// byte in it.
[[nodiscard]] std::optional<RequestTarget> ParseTarget(std::string_view target);

}  // namespace iperf3_exporter
