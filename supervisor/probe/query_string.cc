#include "supervisor/probe/query_string.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/quoted_text.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

// A form's encoding: `+` is a space.
std::optional<std::string> DecodeForm(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return PercentDecode(spaced);
}

bool IsClean(std::string_view text) {
  return std::none_of(text.begin(), text.end(), IsControl) && IsUtf8(text);
}

constexpr std::string_view kExpectsEncoding =
    "must be percent-encoded (each % with two hex digits)";
constexpr std::string_view kExpectsText = "must be UTF-8 text without control characters";

// Decodes one half of a parameter; the error is what is expected, and what was got.
tl::expected<std::string, std::pair<std::string_view, std::string>> DecodeHalf(
    std::string_view raw) {
  std::optional<std::string> decoded = DecodeForm(raw);
  if (!decoded) return tl::unexpected(std::pair(kExpectsEncoding, std::string(raw)));
  if (!IsClean(*decoded)) return tl::unexpected(std::pair(kExpectsText, std::move(*decoded)));
  return std::move(*decoded);
}

tl::expected<QueryParameter, QueryFault> ParseParameter(std::string_view pair) {
  const std::size_t equals = pair.find('=');
  const std::string_view raw_value =
      equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
  auto name = DecodeHalf(pair.substr(0, equals));
  if (!name) {
    const auto& [expected, got] = name.error();
    return tl::unexpected(QueryFault{"the name of a parameter " + std::string(expected) + ", got " +
                                     QuoteText(got, kMaxQuotedValueBytes)});
  }
  auto value = DecodeHalf(raw_value);
  if (!value) {
    const auto& [expected, got] = value.error();
    return tl::unexpected(QueryFault{ParameterFault(*name, expected, got)});
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

std::string ParameterFault(std::string_view name, std::string_view expected,
                           std::string_view value) {
  std::string subject(name);
  if (!expected.starts_with("must provided")) {
    subject = QuoteText(name, kMaxQuotedValueBytes);
    subject.front() = '\'';
    subject.back() = '\'';
    subject += " parameter";
  }
  return subject.append(" ").append(expected).append(", got ") +
         QuoteText(value, kMaxQuotedValueBytes);
}

}  // namespace iperf3_exporter
