#include "common/go_duration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

using Nanoseconds = std::uint64_t;

// 2^63 as in Go, so that the minimum of int64 can be parsed.
constexpr Nanoseconds kMaxMagnitude = Nanoseconds{1} << 63;

struct Unit {
  std::string_view name;
  Nanoseconds nanoseconds;
};

constexpr std::array<Unit, 8> kUnits = {{
    {"ns", 1},
    {"us", 1'000},
    {"\u00b5s", 1'000},  // micro sign
    {"\u03bcs", 1'000},  // Greek letter mu
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

// Removes the decimal digits at the beginning of `text` and returns them.
std::string_view TakeDigits(std::string_view& text) {
  const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
  text.remove_prefix(digits.size());
  return digits;
}

// Removes a decimal and its unit, and returns their product.
std::optional<Nanoseconds> TakeQuantity(std::string_view& text) {
  std::string_view whole = TakeDigits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = TakeDigits(text).substr(0, 19);  // further digits change nothing
  }
  if (whole.empty() && fraction.empty()) return std::nullopt;
  const std::string_view name = text.substr(0, text.find_first_of(".0123456789"));
  text.remove_prefix(name.size());
  const auto* unit = std::ranges::find(kUnits, name, &Unit::name);
  if (unit == kUnits.end()) return std::nullopt;
  if (whole.empty()) whole = "0";
  const auto count = ParseUnsigned(whole, 0, kMaxMagnitude / unit->nanoseconds);
  if (!count) return std::nullopt;
  const double scale = std::pow(10, static_cast<double>(fraction.size()));
  const auto part = static_cast<double>(ParseUnsigned(fraction).value_or(0)) *
                    (static_cast<double>(unit->nanoseconds) / scale);
  return *count * unit->nanoseconds + static_cast<Nanoseconds>(part);
}

// The sum of all decimals with their units.
std::optional<Nanoseconds> ParseMagnitude(std::string_view text) {
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  Nanoseconds sum = 0;
  while (!text.empty()) {
    const auto quantity = TakeQuantity(text);
    if (!quantity || *quantity > kMaxMagnitude - sum) return std::nullopt;
    sum += *quantity;
  }
  return sum;
}

// `value` / `unit` as a decimal without trailing zeros.
std::string FormatFraction(Nanoseconds value, Nanoseconds unit) {
  std::string text = std::to_string(value / unit);
  const Nanoseconds rest = value % unit;
  if (rest == 0) return text;
  std::string digits = std::to_string(unit + rest).substr(1);
  digits.erase(digits.find_last_not_of('0') + 1);
  return text + '.' + digits;
}

std::string FormatMagnitude(Nanoseconds value) {
  if (value == 0) return "0s";
  if (value < 1'000) return std::to_string(value) + "ns";
  if (value < 1'000'000) return FormatFraction(value, 1'000) + "\u00b5s";
  if (value < 1'000'000'000) return FormatFraction(value, 1'000'000) + "ms";
  constexpr Nanoseconds kMinute = 60'000'000'000;
  const Nanoseconds minutes = value / kMinute;
  std::string text;
  if (minutes >= 60) text += std::to_string(minutes / 60) + 'h';
  if (minutes >= 1) text += std::to_string(minutes % 60) + 'm';
  return text + FormatFraction(value % kMinute, 1'000'000'000) + 's';
}

}  // namespace

Result<std::chrono::nanoseconds> ParseGoDuration(std::string_view text) {
  const bool negative = !text.empty() && text[0] == '-';
  std::string_view rest = text;
  if (negative || (!text.empty() && text[0] == '+')) rest.remove_prefix(1);
  const std::optional<Nanoseconds> magnitude = ParseMagnitude(rest);
  if (!magnitude || (*magnitude == kMaxMagnitude && !negative)) {
    return MakeError("not a duration such as 300ms, 1.5s or 1m30s");
  }
  // Negated as unsigned: the minimum of int64 has no positive counterpart.
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude));
}

std::string FormatGoDuration(std::chrono::nanoseconds duration) {
  const auto count = static_cast<Nanoseconds>(duration.count());
  if (duration.count() < 0) return '-' + FormatMagnitude(0 - count);
  return FormatMagnitude(count);
}

}  // namespace iperf3_exporter
