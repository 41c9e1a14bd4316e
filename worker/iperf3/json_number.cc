#include "worker/iperf3/json_number.h"

#include <charconv>

namespace iperf3_exporter {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The position after the digits from `at` on; `at` itself when there is none.
std::size_t SkipDigits(std::string_view token, std::size_t at) {
  while (at < token.size() && IsDigit(token[at])) ++at;
  return at;
}

bool IsJsonNumber(std::string_view token) {
  std::size_t at = token.starts_with('-') ? 1 : 0;
  const std::size_t integer = at;
  at = SkipDigits(token, at);
  if (at == integer || (token[integer] == '0' && at > integer + 1)) return false;
  if (at < token.size() && token[at] == '.') {
    const std::size_t fraction = ++at;
    at = SkipDigits(token, at);
    if (at == fraction) return false;
  }
  if (at < token.size() && (token[at] == 'e' || token[at] == 'E')) {
    ++at;
    if (at < token.size() && (token[at] == '+' || token[at] == '-')) ++at;
    const std::size_t exponent = at;
    at = SkipDigits(token, at);
    if (at == exponent) return false;
  }
  return at == token.size();
}

}  // namespace

double ConvertJsonNumber(std::string_view number) {
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error == std::errc::result_out_of_range) {
    value = std::numeric_limits<double>::infinity();
    return number.starts_with('-') ? -value : value;
  }
  return value;
}

std::optional<double> ParseJsonNumber(std::string_view token) {
  if (!IsJsonNumber(token)) return std::nullopt;
  return ConvertJsonNumber(token);
}

}  // namespace iperf3_exporter
