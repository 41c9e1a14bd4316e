#include "supervisor/probe/query_string.h"

#include <optional>
#include <utility>

#include "common/quoted_text.h"

namespace iperf3_exporter {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// nullopt: a `%` without two hexadecimal digits.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '+') {
      decoded += ' ';
    } else if (text[at] != '%') {
      decoded += text[at];
    } else {
      if (at + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[at + 1]);
      const int low = HexDigit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      at += 2;
    }
  }
  return decoded;
}

bool IsClean(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return false;
  }
  return IsUtf8(text);
}

constexpr std::string_view kTakesEncoding = "must be percent-encoded (each % with two hex digits)";
constexpr std::string_view kTakesText = "must be UTF-8 text without control characters";

// Decodes one half of a parameter; what a fault says of it is the caller's.
tl::expected<std::string, std::pair<std::string_view, std::string>> DecodeHalf(
    std::string_view raw) {
  std::optional<std::string> decoded = PercentDecode(raw);
  if (!decoded) return tl::unexpected(std::pair(kTakesEncoding, std::string(raw)));
  if (!IsClean(*decoded)) return tl::unexpected(std::pair(kTakesText, std::move(*decoded)));
  return std::move(*decoded);
}

tl::expected<QueryParameter, QueryFault> ParseParameter(std::string_view pair) {
  const std::size_t equals = pair.find('=');
  const std::string_view raw_value =
      equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
  auto name = DecodeHalf(pair.substr(0, equals));
  if (!name) {
    const auto& [takes, got] = name.error();
    return tl::unexpected(QueryFault{"the name of a parameter " + std::string(takes) + ", got " +
                                     QuoteText(got, kMaxQuotedValueBytes)});
  }
  auto value = DecodeHalf(raw_value);
  if (!value) {
    const auto& [takes, got] = value.error();
    return tl::unexpected(QueryFault{ParameterFault(*name, takes, got)});
  }
  return QueryParameter{std::move(*name), std::move(*value)};
}

}  // namespace

tl::expected<std::vector<QueryParameter>, QueryFault> ParseQuery(std::string_view query) {
  if (query.size() > kMaxQueryBytes) {
    return tl::unexpected(QueryFault{"the query must be at most " + std::to_string(kMaxQueryBytes) +
                                     " bytes long, got " + std::to_string(query.size())});
  }
  std::vector<QueryParameter> parameters;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty()) continue;
    auto parameter = ParseParameter(pair);
    if (!parameter) return tl::unexpected(std::move(parameter.error()));
    parameters.push_back(std::move(*parameter));
  }
  return parameters;
}

std::string ParameterFault(std::string_view name, std::string_view takes, std::string_view value) {
  std::string quoted_name = QuoteText(name, kMaxQuotedValueBytes);
  quoted_name.front() = '\'';
  quoted_name.back() = '\'';
  return quoted_name.append(" parameter ").append(takes).append(", got ") +
         QuoteText(value, kMaxQuotedValueBytes);
}

}  // namespace iperf3_exporter
