#include "supervisor/probe/query_string.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/iperf3/option_table.h"
#include "common/quoted_text.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

// Decodes one half of a parameter. The error is what follows its name in a message.
Result<std::string> DecodeHalf(std::string_view raw) {
  std::string spaced(raw);
  std::ranges::replace(spaced, '+', ' ');
  auto decoded = PercentDecode(spaced);
  if (!decoded) {
    return MakeError("must be percent-encoded (each % with two hex digits), got " +
                     QuoteText(raw, kMaxQuotedValueBytes));
  }
  if (!IsPlainText(*decoded)) {
    return MakeError("must be UTF-8 text without control characters, got " +
                     QuoteText(*decoded, kMaxQuotedValueBytes));
  }
  return std::move(*decoded);
}

std::string QuoteName(std::string_view name) {
  std::string quoted = QuoteText(name, kMaxQuotedValueBytes);
  quoted.front() = '\'';
  quoted.back() = '\'';
  return quoted;
}

Result<QueryParameter> ParseParameter(std::string_view pair) {
  const std::size_t equals = std::min(pair.find('='), pair.size());
  auto name = DecodeHalf(pair.substr(0, equals));
  if (!name) return MakeError("the name of a parameter " + name.error().message);
  auto value = DecodeHalf(pair.substr(std::min(equals + 1, pair.size())));
  if (!value) return MakeError(QuoteName(*name) + " parameter " + value.error().message);
  return QueryParameter{std::move(*name), std::move(*value)};
}

}  // namespace

Result<std::vector<QueryParameter>> ParseQuery(std::string_view query) {
  if (query.size() > kMaxQueryBytes) {
    return MakeError("the query must be at most " + std::to_string(kMaxQueryBytes) +
                     " bytes long, got " + std::to_string(query.size()));
  }
  std::vector<QueryParameter> parameters;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    auto parameter = ParseParameter(pair);
    if (!parameter) return tl::unexpected(std::move(parameter.error()));
    parameters.push_back(std::move(*parameter));
  }
  return parameters;
}

std::vector<std::string> ListUnknown(const std::vector<QueryParameter>& parameters) {
  std::vector<std::string> unknown;
  std::set<std::string_view> seen;
  for (const auto& [name, value] : parameters) {
    if (FindTestOption(name) == nullptr && seen.insert(name).second) unknown.push_back(name);
  }
  return unknown;
}

std::string GotText(std::string_view value) {
  return value.empty() ? std::string() : ", got " + QuoteText(value, kMaxQuotedValueBytes);
}

std::string ParameterErrorText(std::string_view name, std::string_view expected,
                               std::string_view value) {
  std::string subject(name);
  if (!expected.starts_with("must provided")) subject = QuoteName(name) + " parameter";
  return subject.append(" ").append(expected) + GotText(value);
}

}  // namespace iperf3_exporter
