#include "supervisor/http/http_response.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "supervisor/http/compression.h"

namespace iperf3_exporter {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 17> kReasonPhrases = {{
    {200, "OK"},
    {202, "Accepted"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
}};

// Empty for an unknown code, as RFC 9112, 4 allows.
std::string_view ReasonPhrase(int code) {
  const auto* found =
      std::ranges::find(kReasonPhrases, code, &std::pair<int, std::string_view>::first);
  return found == kReasonPhrases.end() ? std::string_view() : found->second;
}

void AddField(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append("\r\n");
}

std::string BuildHead(const HttpResponse& response, const ResponseOptions& options,
                      std::string_view encoding, std::size_t body_bytes, bool varies) {
  std::array<char, 64> date{};
  evutil_date_rfc1123(date.data(), date.size(), nullptr);
  std::string head;
  head.reserve(512);
  head.append("HTTP/1.1 ").append(std::to_string(response.code)).append(" ");
  head.append(ReasonPhrase(response.code)).append("\r\n");
  AddField(head, "Content-Type", response.content_type);
  AddField(head, "Date", date.data());
  for (const auto& [name, value] : response.headers) AddField(head, name, value);
  if (options.extra_headers != nullptr) {
    for (const auto& [name, value] : *options.extra_headers) AddField(head, name, value);
  }
  if (varies) AddField(head, "Vary", "Accept-Encoding");
  if (!encoding.empty()) AddField(head, "Content-Encoding", encoding);
  if (response.length_known) AddField(head, "Content-Length", std::to_string(body_bytes));
  if (!options.keep_alive) {
    AddField(head, "Connection", "close");
  } else if (options.is_http_1_0) {
    AddField(head, "Connection", "keep-alive");
  }
  return head.append("\r\n");
}

// Tries to write both parts to the socket at once. Returns the number of bytes written. For most
// responses this avoids an iteration of the loop and the system calls that wait for writability.
std::size_t TryWriteNow(bufferevent* bev, std::string_view head, std::string_view body) {
  // Not under TLS, where the bytes must be encrypted, nor ahead of output that is already queued.
  if (bufferevent_openssl_get_ssl(bev) != nullptr ||
      evbuffer_get_length(bufferevent_get_output(bev)) > 0) {
    return 0;
  }
  std::array<iovec, 2> parts{{{const_cast<char*>(head.data()), head.size()},
                              {const_cast<char*>(body.data()), body.size()}}};
  const auto written = ::writev(bufferevent_getfd(bev), parts.data(), parts.size());
  return written < 0 ? 0 : static_cast<std::size_t>(written);
}

// Appends `text` to the output of `bev` without copying it.
void WriteReference(bufferevent* bev, const std::shared_ptr<const std::string>& text) {
  // What is written, and under TLS encrypted, in one iteration of the loop.
  constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
  bufferevent_set_max_single_write(bev, kPieceBytes);
  using Owner = std::shared_ptr<const std::string>;
  const auto release = [](const void*, std::size_t, void* owner) {
    delete static_cast<Owner*>(owner);
  };
  for (std::string_view rest = *text; !rest.empty();) {
    const std::string_view piece = rest.substr(0, kPieceBytes);
    rest.remove_prefix(piece.size());
    auto owner = std::make_unique<Owner>(text);
    if (::evbuffer_add_reference(bufferevent_get_output(bev), piece.data(), piece.size(), release,
                                 owner.get()) != 0) {
      std::abort();  // memory is short
    }
    static_cast<void>(owner.release());
  }
}

void WriteSharedBody(bufferevent* bev, const HttpResponse& response,
                     const ResponseOptions& options) {
  const std::string head = BuildHead(response, options, response.shared_body_encoding,
                                     response.shared_body->size(), /*varies=*/true);
  bufferevent_write(bev, head.data(), head.size());
  if (!options.omits_body) WriteReference(bev, response.shared_body);
}

}  // namespace

void WriteResponse(bufferevent* bev, const HttpResponse& response, const ResponseOptions& options) {
  if (response.shared_body) return WriteSharedBody(bev, response, options);
  std::optional<std::string> packed;
  std::string_view body = response.body;
  if (options.accepts_gzip && body.size() >= kMinGzipBytes) packed = Gzip(body);
  if (packed) body = *packed;
  std::string head = BuildHead(response, options, packed ? "gzip" : "", body.size(),
                               response.body.size() >= kMinGzipBytes);
  if (options.omits_body) body = {};
  const std::size_t written = TryWriteNow(bev, head, body);
  if (written == head.size() + body.size()) return;
  // One write, so that a small response is one TLS record and one callback.
  head.append(body).erase(0, written);
  bufferevent_write(bev, head.data(), head.size());
}

}  // namespace iperf3_exporter
