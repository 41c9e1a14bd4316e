#include "common/quoted_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>

namespace iperf3_exporter {
namespace {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

// The first character of `text`, which must not be empty.
CodePoint DecodeUtf8(std::string_view text) {
  const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const int ones = std::countl_one(byte(0));
  const std::size_t bytes = ones == 0 ? 1 : static_cast<std::size_t>(ones);
  if (ones == 1 || bytes > 4 || bytes > text.size()) return {};
  char32_t value = byte(0) & (0x7fU >> ones);
  for (std::size_t at = 1; at < bytes; ++at) {
    if ((byte(at) & 0xc0U) != 0x80) return {};
    value = value << 6U | (byte(at) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kMin = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kMin[bytes] || value > 0x10ffff || is_surrogate) return {};
  return {value, bytes};
}

// C0, DEL and C1.
bool IsControl(char32_t value) { return value < 0x20 || (value >= 0x7f && value < 0xa0); }

// Whether `predicate` is true for each character. It must be false for one that is not UTF-8.
template <typename Predicate>
bool EachCharacter(std::string_view text, Predicate predicate) {
  while (!text.empty()) {
    const CodePoint character = DecodeUtf8(text);
    if (!predicate(character)) return false;
    text.remove_prefix(character.bytes);
  }
  return true;
}

void AppendEscaped(CodePoint character, std::string_view bytes, std::string& out) {
  constexpr std::string_view kEscaped = "\"\\\n\r\t";
  constexpr std::string_view kLetters = "\"\\nrt";
  const char32_t value = character.value;
  if (character.bytes == 0) {
    out += "\\ufffd";
  } else if (const std::size_t at = kEscaped.find(bytes); at != std::string_view::npos) {
    (out += '\\') += kLetters[at];
  } else if (IsControl(value)) {
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(value));
    out += escape;
  } else {
    out += bytes;
  }
}

}  // namespace

bool IsUtf8(std::string_view text) {
  return EachCharacter(text, [](CodePoint character) { return character.bytes != 0; });
}

bool IsPlainText(std::string_view text) {
  return EachCharacter(text, [](CodePoint character) {
    return character.bytes != 0 && !IsControl(character.value);
  });
}

std::string QuoteText(std::string_view text, std::size_t max_bytes) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint character = DecodeUtf8(text.substr(at));
    const std::size_t bytes = std::max<std::size_t>(character.bytes, 1);
    if (at + bytes > max_bytes) {
      out += "…";
      break;
    }
    AppendEscaped(character, text.substr(at, bytes), out);
    at += bytes;
  }
  return out + '"';
}

}  // namespace iperf3_exporter
