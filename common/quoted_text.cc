#include "common/quoted_text.h"

#include <array>
#include <cstdint>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

struct SequenceForm {
  unsigned char first_min, first_max;
  std::size_t bytes;
  // The second byte has a narrower range after some first ones: no overlong forms, no
  // surrogates, nothing above U+10FFFF.
  unsigned char second_min, second_max;
};

constexpr std::array<SequenceForm, 9> kSequenceForms = {{
    {0x00, 0x7f, 1, 0, 0},
    {0xc2, 0xdf, 2, 0x80, 0xbf},
    {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f},
    {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf},
    {0xf4, 0xf4, 4, 0x80, 0x8f},
}};

unsigned char ByteAt(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

bool FitsForm(std::string_view text, const SequenceForm& form) {
  if (text.size() < form.bytes) return false;
  if (form.bytes > 1 && (ByteAt(text, 1) < form.second_min || ByteAt(text, 1) > form.second_max)) {
    return false;
  }
  for (std::size_t at = 2; at < form.bytes; ++at) {
    if ((ByteAt(text, at) & 0xc0) != 0x80) return false;
  }
  return true;
}

void AppendUnicodeEscape(unsigned code, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[(code >> shift) & 0xf];
}

void AppendAscii(char c, std::string& out) {
  switch (c) {
    case '"':
    case '\\':
      out += '\\';
      out += c;
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (IsControl(c)) {
    AppendUnicodeEscape(static_cast<unsigned char>(c), out);
  } else {
    out += c;
  }
}

// U+0080 to U+009F: control characters that a terminal may interpret.
bool IsC1Control(std::string_view sequence) {
  return sequence.size() == 2 && ByteAt(sequence, 0) == 0xc2 && ByteAt(sequence, 1) < 0xa0;
}

}  // namespace

std::size_t Utf8SequenceBytes(std::string_view text) {
  if (text.empty()) return 0;
  for (const SequenceForm& form : kSequenceForms) {
    if (ByteAt(text, 0) >= form.first_min && ByteAt(text, 0) <= form.first_max) {
      return FitsForm(text, form) ? form.bytes : 0;
    }
  }
  return 0;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t bytes = Utf8SequenceBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string QuoteText(std::string_view text, std::size_t max_bytes) {
  std::string out;
  out.reserve(text.size() < max_bytes ? text.size() + 2 : max_bytes + 5);
  out += '"';
  std::size_t shown = 0;
  while (shown < text.size()) {
    const std::string_view rest = text.substr(shown);
    const std::size_t bytes = Utf8SequenceBytes(rest);
    const std::size_t step = bytes == 0 ? 1 : bytes;
    if (shown + step > max_bytes) {
      out += "…";
      break;
    }
    if (bytes == 0) {
      out += "\\ufffd";
    } else if (bytes == 1) {
      AppendAscii(rest[0], out);
    } else if (IsC1Control(rest.substr(0, bytes))) {
      AppendUnicodeEscape(ByteAt(rest, 1), out);
    } else {
      out += rest.substr(0, bytes);
    }
    shown += step;
  }
  out += '"';
  return out;
}

}  // namespace iperf3_exporter
