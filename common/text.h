// ASCII text: character classes, comparison and small parsers, independent of the locale. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iperf3_exporter {

[[nodiscard]] constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

[[nodiscard]] constexpr bool IsAlnum(char c) {
  return IsDigit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// A visible character or a space.
[[nodiscard]] constexpr bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

// Also true for DEL. Bytes above ASCII are not control characters.
[[nodiscard]] constexpr bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

[[nodiscard]] constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] std::string ToLower(std::string_view text);

// Replaces each byte that is not printable ASCII with `?`.
[[nodiscard]] std::string ToPrintable(std::string_view text);

[[nodiscard]] bool EqualsIgnoringCase(std::string_view a, std::string_view b);

// Whether all characters are letters, digits or in `extra_chars`. True for an empty string.
[[nodiscard]] bool HasOnlyAlnumOr(std::string_view text, std::string_view extra_chars);

// Without leading and trailing spaces and tabs.
[[nodiscard]] std::string_view Trim(std::string_view text);

// Returns the trimmed text before the first `separator`, and removes it and the separator from
// `rest`. Without a separator, takes all of `rest`.
[[nodiscard]] std::string_view TakeUntil(char separator, std::string_view& rest);

// Decimal digits only: no sign, no space. nullopt if the text is anything else or the number is out
// of range.
[[nodiscard]] std::optional<std::uint64_t> ParseUnsigned(std::string_view text,
                                                         std::uint64_t min = 0,
                                                         std::uint64_t max = UINT64_MAX);

// RFC 3986, 2.1. nullopt if a `%` is not followed by two hexadecimal digits.
[[nodiscard]] std::optional<std::string> PercentDecode(std::string_view text);

// Joins a range of strings: "a, b, c".
template <typename Range>
[[nodiscard]] std::string Join(const Range& texts, std::string_view separator) {
  std::string joined;
  bool first = true;
  for (const auto& text : texts) {
    if (!first) joined += separator;
    first = false;
    joined += text;
  }
  return joined;
}

}  // namespace iperf3_exporter
