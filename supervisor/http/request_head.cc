#include "supervisor/http/request_head.h"

#include <algorithm>
#include <cstdint>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

constexpr std::string_view kCrlf = "\r\n";

// RFC 9110, 5.6.2.
constexpr std::string_view kTokenPunctuation = "!#$%&'*+-.^_`|~";

bool IsToken(std::string_view text) {
  return !text.empty() && HasOnlyAlnumOr(text, kTokenPunctuation);
}

// RFC 9110, 5.5: visible characters, space, tab and bytes above ASCII.
bool IsFieldValue(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c == '\t' || !IsControl(c); });
}

// RFC 3986, 3.2.2 and 3.2.3: characters of names, addresses and ports, without the user information
// that RFC 9110, 4.2.4 warns of.
bool IsAuthority(std::string_view text) { return HasOnlyAlnumOr(text, "-._~%!$&'()*+;=:[]"); }

tl::unexpected<HeadError> Refused(int code, std::string_view reason) {
  return tl::unexpected(HeadError{code, reason});
}

struct RequestLine {
  std::string_view method;
  std::string_view target;
  std::string_view version;
};

tl::expected<RequestLine, HeadError> ParseRequestLine(std::string_view line) {
  const auto first = line.find(' ');
  const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos) return Refused(400, "malformed request line");
  const RequestLine parts{line.substr(0, first), line.substr(first + 1, second - first - 1),
                          line.substr(second + 1)};
  if (parts.target.empty() || parts.version.find(' ') != std::string_view::npos) {
    return Refused(400, "malformed request line");
  }
  if (!IsToken(parts.method)) return Refused(400, "malformed method");
  if (std::ranges::any_of(parts.target, [](char c) { return IsControl(c) || c == '#'; })) {
    return Refused(400, "malformed request target");
  }
  if (!parts.version.starts_with("HTTP/")) return Refused(400, "malformed HTTP version");
  if (parts.version != "HTTP/1.1" && parts.version != "HTTP/1.0") {
    return Refused(505, "only HTTP/1.1 and HTTP/1.0 are supported");
  }
  return parts;
}

// What is known of the fields of one head.
struct FieldSummary {
  std::size_t count = 0;
  std::size_t hosts = 0;
  std::size_t lengths = 0;
  std::size_t authorizations = 0;
  std::size_t body_bytes = 0;
  bool transfer_encoding = false;
  bool expect = false;
  bool close = false;
  bool keep_alive = false;
};

std::optional<HeadError> ReadLength(std::string_view value, FieldSummary& fields) {
  ++fields.lengths;
  if (value.empty() || !std::ranges::all_of(value, IsDigit)) {
    return HeadError{400, "malformed Content-Length"};
  }
  fields.body_bytes = ParseUnsigned(value).value_or(SIZE_MAX);
  return std::nullopt;
}

// RFC 9110, 7.6.1: a list, which may be spread over several fields.
void ReadConnection(std::string_view value, FieldSummary& fields) {
  while (!value.empty()) {
    const std::string_view option = TakeUntil(',', value);
    fields.close = fields.close || EqualsIgnoringCase(option, "close");
    fields.keep_alive = fields.keep_alive || EqualsIgnoringCase(option, "keep-alive");
  }
}

std::optional<HeadError> ReadField(std::string_view line, FieldSummary& fields) {
  if (line.front() == ' ' || line.front() == '\t') return HeadError{400, "folded header field"};
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return HeadError{400, "header field without a colon"};
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = Trim(line.substr(colon + 1));
  if (!IsToken(name)) return HeadError{400, "malformed header field name"};
  if (!IsFieldValue(value)) return HeadError{400, "malformed header field value"};
  ++fields.count;
  if (EqualsIgnoringCase(name, "content-length")) return ReadLength(value, fields);
  if (EqualsIgnoringCase(name, "transfer-encoding")) fields.transfer_encoding = true;
  if (EqualsIgnoringCase(name, "expect")) fields.expect = true;
  if (EqualsIgnoringCase(name, "authorization")) ++fields.authorizations;
  if (EqualsIgnoringCase(name, "connection")) ReadConnection(value, fields);
  if (EqualsIgnoringCase(name, "host")) {
    ++fields.hosts;
    if (!IsAuthority(value)) return HeadError{400, "malformed Host"};
  }
  return std::nullopt;
}

bool MayHaveBody(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE";
}

std::optional<HeadError> CheckFields(const RequestLine& line, const FieldSummary& fields,
                                     const HttpLimits& limits) {
  if (fields.count > limits.max_header_fields) return HeadError{431, "too many header fields"};
  if (fields.hosts > 1) return HeadError{400, "more than one Host"};
  if (fields.hosts == 0 && line.version == "HTTP/1.1") return HeadError{400, "no Host"};
  if (fields.authorizations > 1) return HeadError{400, "more than one Authorization"};
  if (fields.lengths > 1) return HeadError{400, "more than one Content-Length"};
  if (fields.transfer_encoding && fields.lengths > 0) {
    return HeadError{400, "both Content-Length and Transfer-Encoding"};
  }
  if (fields.transfer_encoding) return HeadError{501, "Transfer-Encoding is not supported"};
  if (fields.body_bytes > limits.max_body_bytes) return HeadError{413, "request body too large"};
  if (fields.expect) return HeadError{417, "Expect is not supported"};
  if (fields.body_bytes > 0 && !MayHaveBody(line.method)) {
    return HeadError{400, "this method has no request body"};
  }
  return std::nullopt;
}

tl::expected<RequestHead, HeadError> BuildHead(const RequestLine& line, const FieldSummary& fields,
                                               std::string_view field_lines) {
  auto target = ParseTarget(line.target);
  if (!target) return Refused(400, "malformed request target");
  const bool is_http_1_0 = line.version == "HTTP/1.0";
  return RequestHead{.method = std::string(line.method),
                     .target = std::move(*target),
                     .keep_alive = !fields.close && (!is_http_1_0 || fields.keep_alive),
                     .is_http_1_0 = is_http_1_0,
                     .body_bytes = fields.body_bytes,
                     .fields = std::string(field_lines)};
}

// Removes `http://host` from an absolute target. Returns false if the target has neither form.
bool RemoveOrigin(std::string_view& target) {
  if (target.starts_with('/')) return true;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!EqualsIgnoringCase(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const auto end = std::min(target.find_first_of("/?"), target.size());
    if (end == 0 || !IsAuthority(target.substr(0, end))) return false;
    target.remove_prefix(end);
    return true;
  }
  return false;
}

}  // namespace

std::optional<std::string_view> RequestHead::Field(std::string_view name) const {
  std::string_view rest = fields;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find(kCrlf));
    rest.remove_prefix(line.size() + kCrlf.size());
    const auto colon = line.find(':');
    if (EqualsIgnoringCase(line.substr(0, colon), name)) return Trim(line.substr(colon + 1));
  }
  return std::nullopt;
}

std::optional<std::size_t> FindHeadEnd(std::string_view bytes, std::size_t seen) {
  // The last seen line end may be the one before the empty line.
  const std::size_t from = seen - std::min<std::size_t>(seen, kCrlf.size());
  for (auto lf = bytes.find('\n', from); lf != std::string_view::npos;
       lf = bytes.find('\n', lf + 1)) {
    const std::string_view rest = bytes.substr(lf + 1);
    if (rest.starts_with('\n')) return lf + 2;
    if (rest.starts_with(kCrlf)) return lf + 1 + kCrlf.size();
  }
  return std::nullopt;
}

std::optional<HeadError> CheckIncompleteHead(std::string_view bytes, std::size_t seen,
                                             const HttpLimits& limits) {
  if (!bytes.empty() && !IsToken(bytes.substr(0, 1))) return HeadError{400, "not an HTTP request"};
  const auto lf = bytes.find('\n');
  // Checked once, when the request line has just become complete.
  if (lf != std::string_view::npos && lf >= seen) {
    if (lf == 0 || bytes[lf - 1] != '\r') return HeadError{400, "bare line feed"};
    const auto line = ParseRequestLine(bytes.substr(0, lf - 1));
    if (!line) return line.error();
  }
  if (bytes.size() <= limits.max_header_bytes) return std::nullopt;
  return lf == std::string_view::npos ? HeadError{414, "request line too long"}
                                      : HeadError{431, "request header too large"};
}

tl::expected<RequestHead, HeadError> ParseRequestHead(std::string_view head,
                                                      const HttpLimits& limits) {
  if (head.size() > limits.max_header_bytes) {
    return head.find('\n') >= limits.max_header_bytes ? Refused(414, "request line too long")
                                                      : Refused(431, "request header too large");
  }
  std::optional<RequestLine> request_line;
  FieldSummary fields;
  std::string_view field_lines;
  while (!head.empty()) {
    const auto lf = head.find('\n');
    if (lf == std::string_view::npos) return Refused(400, "incomplete head");
    if (lf == 0 || head[lf - 1] != '\r') return Refused(400, "bare line feed");
    const std::string_view line = head.substr(0, lf - 1);
    head.remove_prefix(lf + 1);
    if (line.find('\r') != std::string_view::npos) return Refused(400, "bare carriage return");
    if (!request_line) {
      const auto parsed = ParseRequestLine(line);
      if (!parsed) return tl::unexpected(parsed.error());
      request_line = *parsed;
      field_lines = head;
    } else if (line.empty()) {
      if (!head.empty()) return Refused(400, "bytes after the head");
      if (const auto bad = CheckFields(*request_line, fields, limits)) return tl::unexpected(*bad);
      field_lines.remove_suffix(kCrlf.size());
      return BuildHead(*request_line, fields, field_lines);
    } else if (const auto bad = ReadField(line, fields)) {
      return tl::unexpected(*bad);
    }
  }
  return Refused(400, "incomplete head");
}

std::optional<RequestTarget> ParseTarget(std::string_view target) {
  if (!RemoveOrigin(target)) return std::nullopt;
  const auto question = target.find('?');
  auto path = PercentDecode(target.substr(0, question));
  if (!path || std::ranges::any_of(*path, IsControl)) return std::nullopt;
  if (path->empty()) path = "/";
  RequestTarget result{std::move(*path), {}};
  if (question != std::string_view::npos) result.query = target.substr(question + 1);
  return result;
}

}  // namespace iperf3_exporter
