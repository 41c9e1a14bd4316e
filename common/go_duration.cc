#include "common/go_duration.h"

#include <array>
#include <cstdint>
#include <optional>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

using Nanoseconds = std::uint64_t;

// As in Go the magnitude may be 2^63, so that the smallest int64 can be written.
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

// A decimal as integer part, and numerator over a power of ten.
struct Decimal {
  Nanoseconds whole = 0;
  Nanoseconds fraction = 0;
  double scale = 1;
};

std::optional<Decimal> TakeDecimal(std::string_view& text) {
  Decimal decimal;
  bool digits = false;
  for (; !text.empty() && IsDigit(text[0]); text.remove_prefix(1), digits = true) {
    if (decimal.whole > kMaxMagnitude / 10) return std::nullopt;
    decimal.whole = decimal.whole * 10 + static_cast<Nanoseconds>(text[0] - '0');
    if (decimal.whole > kMaxMagnitude) return std::nullopt;
  }
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    for (; !text.empty() && IsDigit(text[0]); text.remove_prefix(1), digits = true) {
      // Further digits change nothing.
      if (decimal.fraction > (kMaxMagnitude - 1) / 10) continue;
      decimal.fraction = decimal.fraction * 10 + static_cast<Nanoseconds>(text[0] - '0');
      decimal.scale *= 10;
    }
  }
  if (!digits) return std::nullopt;
  return decimal;
}

const Unit* TakeUnit(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && text[length] != '.' && !IsDigit(text[length])) ++length;
  const std::string_view name = text.substr(0, length);
  text.remove_prefix(length);
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

std::optional<Nanoseconds> Multiply(const Decimal& decimal, const Unit& unit) {
  if (decimal.whole > kMaxMagnitude / unit.nanoseconds) return std::nullopt;
  Nanoseconds product = decimal.whole * unit.nanoseconds;
  if (decimal.fraction > 0) {
    product += static_cast<Nanoseconds>(static_cast<double>(decimal.fraction) *
                                        (static_cast<double>(unit.nanoseconds) / decimal.scale));
  }
  if (product > kMaxMagnitude) return std::nullopt;
  return product;
}

// The sum of all decimals with their units.
std::optional<Nanoseconds> ParseMagnitude(std::string_view text) {
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  Nanoseconds sum = 0;
  while (!text.empty()) {
    const std::optional<Decimal> decimal = TakeDecimal(text);
    if (!decimal) return std::nullopt;
    const Unit* unit = TakeUnit(text);
    if (unit == nullptr) return std::nullopt;
    const std::optional<Nanoseconds> part = Multiply(*decimal, *unit);
    if (!part) return std::nullopt;
    sum += *part;
    if (sum > kMaxMagnitude) return std::nullopt;
  }
  return sum;
}

// `value` divided by `unit`, as a decimal without trailing zeros.
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
  // Negated while unsigned: the smallest int64 has no positive counterpart.
  return std::chrono::nanoseconds(
      static_cast<std::int64_t>(negative ? 0 - *magnitude : *magnitude));
}

std::string FormatGoDuration(std::chrono::nanoseconds duration) {
  const auto count = static_cast<Nanoseconds>(duration.count());
  if (duration.count() < 0) return '-' + FormatMagnitude(0 - count);
  return FormatMagnitude(count);
}

}  // namespace iperf3_exporter
