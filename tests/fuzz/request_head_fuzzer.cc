// The head of a request: an accepted head is unambiguous, also if it arrives in pieces.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supervisor/http/request_head.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iperf3_exporter;
  const HttpLimits kLimits{
      .max_header_bytes = 4096, .max_header_fields = 50, .max_body_bytes = 100};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto length = FindHeadEnd(bytes);
  std::optional<std::size_t> in_pieces;
  for (std::size_t i = 1; i <= size && !in_pieces; ++i) {
    in_pieces = FindHeadEnd(bytes.substr(0, i), i - 1);
  }
  if (length != in_pieces) std::abort();
  if (!length) {
    static_cast<void>(CheckIncompleteHead(bytes, size / 2, kLimits));
    return 0;
  }
  const std::string_view head = bytes.substr(0, *length);
  const auto parsed = ParseRequestHead(head, kLimits);
  if (!parsed) return 0;
  // Accepted: no bare line end, no empty line except the last, a valid target.
  if (head.find("\r\n\r\n") + 4 != head.size()) std::abort();
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\n' && head[i - 1] != '\r') std::abort();
    if (head[i] == '\r' && head[i + 1] != '\n') std::abort();
    if (head[i] == '\0') std::abort();
  }
  if (!head.starts_with(parsed->method + ' ') || parsed->target.path.empty()) std::abort();
  if (parsed->target.path.find('\0') != std::string::npos) std::abort();
  if (!parsed->fields.empty() && !parsed->fields.ends_with("\r\n")) std::abort();
  if (!parsed->is_http_1_0 && !parsed->Field("host")) std::abort();
  return 0;
}
