#include "supervisor/http/request_head.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace iperf3_exporter {
namespace {

constexpr std::string_view kCrlf = "\r\n";

constexpr bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// RFC 9110, 5.6.2.
constexpr bool IsTokenChar(char c) {
  return IsAlnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

// RFC 9110, 5.5: visible characters, space, tab and bytes above ASCII.
bool IsFieldValue(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

bool EqualsIgnoringCase(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x) == y;
  });
}

std::string_view TrimBlanks(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// RFC 3986, 3.2.2 and 3.2.3, without the user information that RFC 9110, 4.2.4 warns of: characters
// of names, addresses and ports.
bool IsAuthority(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsAlnum(c) || std::string_view("-._~%!$&'()*+;=:[]").find(c) != std::string_view::npos;
  });
}

// Those that evhttp has a name for.
constexpr std::array<std::string_view, 8> kMethods = {"GET",    "HEAD",    "POST",  "PUT",
                                                      "DELETE", "OPTIONS", "TRACE", "PATCH"};

// evhttp reads no body of the others and would take it for the next request.
bool MayHaveBody(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE";
}

std::optional<HeadFault> CheckRequestLine(std::string_view line) {
  const auto parts = SplitRequestLine(line);
  if (!parts) return HeadFault{400, "malformed request line"};
  if (!IsToken(parts->method)) return HeadFault{400, "malformed method"};
  for (const char c : parts->target) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '#') return HeadFault{400, "malformed request target"};
  }
  if (!parts->version.starts_with("HTTP/")) return HeadFault{400, "malformed HTTP version"};
  if (parts->version != "HTTP/1.1" && parts->version != "HTTP/1.0") {
    return HeadFault{505, "HTTP/1.1 is what is spoken here"};
  }
  return std::nullopt;
}

// What the fields of one head say about its length.
struct Fields {
  std::size_t count = 0;
  std::size_t hosts = 0;
  std::size_t lengths = 0;
  std::size_t authorizations = 0;
  std::size_t body_bytes = 0;
  bool length_too_large = false;
  bool transfer_encoding = false;
  bool expect = false;
};

std::optional<HeadFault> ReadLength(std::string_view value, Fields& fields) {
  ++fields.lengths;
  if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos) {
    return HeadFault{400, "malformed Content-Length"};
  }
  // Nine digits can't overflow and are beyond any limit here.
  value.remove_prefix(std::min(value.find_first_not_of('0'), value.size()));
  fields.length_too_large = value.size() > 9;
  if (fields.length_too_large) return std::nullopt;
  fields.body_bytes = 0;
  for (const char c : value)
    fields.body_bytes = fields.body_bytes * 10 + static_cast<std::size_t>(c - '0');
  return std::nullopt;
}

std::optional<HeadFault> ReadField(std::string_view line, Fields& fields) {
  if (line.front() == ' ' || line.front() == '\t') return HeadFault{400, "folded header field"};
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return HeadFault{400, "header field without a colon"};
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = TrimBlanks(line.substr(colon + 1));
  if (!IsToken(name)) return HeadFault{400, "malformed header field name"};
  if (!IsFieldValue(value)) return HeadFault{400, "malformed header field value"};
  ++fields.count;
  if (EqualsIgnoringCase(name, "content-length")) return ReadLength(value, fields);
  if (EqualsIgnoringCase(name, "transfer-encoding")) fields.transfer_encoding = true;
  if (EqualsIgnoringCase(name, "expect")) fields.expect = true;
  if (EqualsIgnoringCase(name, "authorization")) ++fields.authorizations;
  if (EqualsIgnoringCase(name, "host")) {
    ++fields.hosts;
    if (!IsAuthority(value)) return HeadFault{400, "malformed Host"};
  }
  return std::nullopt;
}

std::optional<HeadFault> JudgeFields(const RequestLine& line, const Fields& fields,
                                     const HeadLimits& limits) {
  if (fields.count > limits.max_fields) return HeadFault{431, "too many header fields"};
  if (fields.hosts > 1) return HeadFault{400, "more than one Host"};
  if (fields.hosts == 0 && line.version == "HTTP/1.1") return HeadFault{400, "no Host"};
  if (fields.authorizations > 1) return HeadFault{400, "more than one Authorization"};
  if (fields.lengths > 1) return HeadFault{400, "more than one Content-Length"};
  if (fields.transfer_encoding && fields.lengths > 0) {
    return HeadFault{400, "both Content-Length and Transfer-Encoding"};
  }
  if (fields.transfer_encoding) return HeadFault{501, "no Transfer-Encoding is accepted here"};
  if (fields.length_too_large || fields.body_bytes > limits.max_body_bytes) {
    return HeadFault{413, "request body too large"};
  }
  if (fields.expect) return HeadFault{417, "no expectation is met here"};
  if (fields.body_bytes > 0 && !MayHaveBody(line.method)) {
    return HeadFault{400, "this method takes no request body"};
  }
  return std::nullopt;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> DecodePath(std::string_view path) {
  std::string decoded;
  decoded.reserve(path.size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      if (i + 2 >= path.size()) return std::nullopt;
      const int high = HexValue(path[i + 1]);
      const int low = HexValue(path[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f) return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

}  // namespace

std::optional<std::size_t> HeadScanner::Scan(std::string_view bytes) {
  while (scanned_ < bytes.size()) {
    const auto lf = bytes.find('\n', scanned_);
    if (lf == std::string_view::npos) {
      scanned_ = bytes.size();
      return std::nullopt;
    }
    if (first_line_ == 0) first_line_ = lf + 1;
    const std::string_view rest = bytes.substr(lf + 1);
    if (rest.starts_with('\n')) return lf + 2;
    if (rest.starts_with("\r\n")) return lf + 3;
    if (rest.empty() || rest == "\r") {  // This line end is looked at again with the next bytes.
      scanned_ = lf;
      return std::nullopt;
    }
    scanned_ = lf + 1;
  }
  return std::nullopt;
}

std::optional<HeadFault> HeadScanner::EarlyFault(std::string_view bytes, const HeadLimits& limits) {
  if (!bytes.empty() && !IsTokenChar(bytes.front())) return HeadFault{400, "not an HTTP request"};
  if (first_line_ != 0 && !first_line_checked_) {
    first_line_checked_ = true;
    std::string_view line = bytes.substr(0, first_line_);
    if (!line.ends_with(kCrlf)) return HeadFault{400, "bare line feed"};
    line.remove_suffix(kCrlf.size());
    if (const auto fault = CheckRequestLine(line)) return fault;
  }
  if (bytes.size() <= limits.max_bytes) return std::nullopt;
  return first_line_ == 0 ? HeadFault{414, "request line too long"}
                          : HeadFault{431, "request header too large"};
}

std::optional<HeadFault> CheckHead(std::string_view head, const HeadLimits& limits) {
  if (head.size() > limits.max_bytes) {
    return head.find('\n') >= limits.max_bytes ? HeadFault{414, "request line too long"}
                                               : HeadFault{431, "request header too large"};
  }
  std::optional<RequestLine> request_line;
  Fields fields;
  while (!head.empty()) {
    const auto lf = head.find('\n');
    if (lf == std::string_view::npos) return HeadFault{400, "incomplete head"};
    if (lf == 0 || head[lf - 1] != '\r') return HeadFault{400, "bare line feed"};
    const std::string_view line = head.substr(0, lf - 1);
    head.remove_prefix(lf + 1);
    if (line.find('\r') != std::string_view::npos) return HeadFault{400, "bare carriage return"};
    if (!request_line) {
      if (const auto fault = CheckRequestLine(line)) return fault;
      request_line = SplitRequestLine(line);
    } else if (line.empty()) {
      return head.empty() ? JudgeFields(*request_line, fields, limits)
                          : HeadFault{400, "bytes after the head"};
    } else if (const auto fault = ReadField(line, fields)) {
      return fault;
    }
  }
  return HeadFault{400, "incomplete head"};
}

bool IsKnownMethod(std::string_view method) {
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

bool IsPlainPath(std::string_view target) {
  return target.starts_with('/') && !target.starts_with("//");
}

std::optional<RequestLine> SplitRequestLine(std::string_view line) {
  const auto first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const RequestLine parts{line.substr(0, first), line.substr(first + 1, second - first - 1),
                          line.substr(second + 1)};
  if (parts.method.empty() || parts.target.empty() || parts.version.empty() ||
      parts.version.find(' ') != std::string_view::npos) {
    return std::nullopt;
  }
  return parts;
}

std::optional<RequestTarget> ParseTarget(std::string_view target) {
  if (!target.starts_with('/')) {
    std::size_t authority = 0;
    for (const std::string_view scheme : {"http://", "https://"}) {
      if (target.size() > scheme.size() &&
          EqualsIgnoringCase(target.substr(0, scheme.size()), scheme)) {
        authority = scheme.size();
      }
    }
    if (authority == 0) return std::nullopt;
    const auto end = target.find_first_of("/?", authority);
    if (end == authority || !IsAuthority(target.substr(authority, end - authority))) {
      return std::nullopt;
    }
    target = end == std::string_view::npos ? std::string_view() : target.substr(end);
  }
  const auto question = target.find('?');
  auto path = DecodePath(target.substr(0, question));
  if (!path) return std::nullopt;
  if (path->empty()) path = "/";
  RequestTarget result{std::move(*path), {}};
  if (question != std::string_view::npos) result.query = target.substr(question + 1);
  return result;
}

}  // namespace iperf3_exporter
