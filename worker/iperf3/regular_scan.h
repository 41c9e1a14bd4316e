// The few byte scans that reading a regular report is made of, 16 bytes at a time where
// the processor's base instruction set allows (x86-64 has SSE2), else one by one. None
// looks further than kScanBytes from where it starts.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace iperf3_exporter::scan {

inline constexpr std::size_t kScanBytes = 32;

#if defined(__SSE2__)

inline __m128i Load(const char* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}

inline std::uint32_t Bits(__m128i low, __m128i high) {
  return static_cast<std::uint32_t>(_mm_movemask_epi8(low)) |
         static_cast<std::uint32_t>(_mm_movemask_epi8(high)) << 16;
}

// How many of the first `bytes` are each within its own bounds, up to the first that is not.
// Reads up to kScanBytes behind them.
inline std::size_t CountWithin(const char* at, const char* least, const char* most,
                               std::size_t bytes) {
  constexpr std::size_t kStep = 16;
  for (std::size_t i = 0; i < bytes; i += kStep) {
    const __m128i text = Load(at + i);
    const __m128i bounded = _mm_max_epu8(_mm_min_epu8(text, Load(most + i)), Load(least + i));
    const auto within =
        static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(text, bounded)));
    if (within != 0xFFFF) return std::min(bytes, i + std::countr_one(within));
  }
  return bytes;
}

// Whether `at` begins with `count` tabs, at most 16.
inline bool IsTabs(const char* at, int count) {
  const auto tabs =
      static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(Load(at), _mm_set1_epi8('\t'))));
  return (~tabs & ((1U << count) - 1)) == 0;
}

// One bit for each of kScanBytes bytes that is no decimal digit.
inline std::uint32_t NonDigits(const char* at) {
  const __m128i base = _mm_set1_epi8(static_cast<char>('0' + 128));  // digits become -128 to -119
  const __m128i most = _mm_set1_epi8(-128 + 9);
  return Bits(_mm_cmpgt_epi8(_mm_sub_epi8(Load(at), base), most),
              _mm_cmpgt_epi8(_mm_sub_epi8(Load(at + 16), base), most));
}

// One bit for each of kScanBytes bytes that ends plain text in a string: a quote, a backslash, a
// control byte, or one beyond ASCII (negative as a char).
inline std::uint32_t NonPlain(const char* at) {
  const auto marks = [](__m128i bytes) {
    return _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')),
                        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
  };
  return Bits(marks(Load(at)), marks(Load(at + 16)));
}

// One bit for each of 16 bytes at which "\n\t\"" begins.
inline std::uint32_t TopLevelLines(const char* at) {
  const __m128i found =
      _mm_and_si128(_mm_cmpeq_epi8(Load(at), _mm_set1_epi8('\n')),
                    _mm_and_si128(_mm_cmpeq_epi8(Load(at + 1), _mm_set1_epi8('\t')),
                                  _mm_cmpeq_epi8(Load(at + 2), _mm_set1_epi8('"'))));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(found));
}

#else

inline std::size_t CountWithin(const char* at, const char* least, const char* most,
                               std::size_t bytes) {
  const auto byte = [](char c) { return static_cast<unsigned char>(c); };
  for (std::size_t i = 0; i < bytes; ++i) {
    if (byte(at[i]) < byte(least[i]) || byte(at[i]) > byte(most[i])) return i;
  }
  return bytes;
}

inline bool IsTabs(const char* at, int count) {
  for (int i = 0; i < count; ++i) {
    if (at[i] != '\t') return false;
  }
  return true;
}

template <std::size_t kBytes, typename Is>
inline std::uint32_t Marks(const char* at, Is is) {
  std::uint32_t marks = 0;
  for (std::size_t i = 0; i < kBytes; ++i) {
    marks |= static_cast<std::uint32_t>(is(at + i)) << i;
    if (marks != 0 && kBytes == kScanBytes && (marks & (marks - 1)) != 0) break;
  }
  return marks;
}

inline std::uint32_t NonDigits(const char* at) {
  return Marks<kScanBytes>(at, [](const char* c) { return *c < '0' || *c > '9'; });
}

inline std::uint32_t NonPlain(const char* at) {
  return Marks<kScanBytes>(at, [](const char* c) {
    const auto byte = static_cast<unsigned char>(*c);
    return byte < ' ' || byte > 127 || byte == '"' || byte == '\\';
  });
}

inline std::uint32_t TopLevelLines(const char* at) {
  return Marks<16>(at, [](const char* c) { return std::memcmp(c, "\n\t\"", 3) == 0; });
}

#endif

// The end of the number at `at`: an integer with or without a fraction, as RFC 8259 has it
// and within kScanBytes. nullptr otherwise, an exponent included.
inline const char* SkipNumber(const char* at) {
  at += *at == '-' ? 1 : 0;
  std::uint32_t marks = NonDigits(at);
  if (marks == 0) return nullptr;
  int digits = std::countr_zero(marks);
  if (digits == 0 || (*at == '0' && digits > 1)) return nullptr;
  if (at[digits] == '.') {
    marks &= marks - 1;
    if (marks == 0) return nullptr;
    const int fraction = std::countr_zero(marks);
    if (fraction == digits + 1) return nullptr;
    digits = fraction;
  }
  return (at[digits] | 0x20) == 'e' ? nullptr : at + digits;
}

// The value of `bytes` decimal digits, if they are that and at most eight. Readable bytes follow.
inline std::optional<std::uint64_t> ParseFewDigits(const char* at, std::ptrdiff_t bytes) {
  constexpr std::ptrdiff_t kMost = 8;
  if (bytes < 1 || bytes > kMost) return std::nullopt;
  std::uint64_t number = 0;
  if constexpr (std::endian::native == std::endian::little) {
    // All eight at once: the first digit in the lowest byte, zeros before it.
    constexpr std::uint64_t kZeros = 0x3030303030303030;
    std::uint64_t digits = 0;
    std::memcpy(&digits, at, sizeof digits);
    digits = (digits ^ kZeros) << (8 * (kMost - bytes));
    if (((digits | (digits + 0x0606060606060606)) & 0xF0F0F0F0F0F0F0F0) != 0) return std::nullopt;
    digits = digits * 10 + (digits >> 8);
    number = ((digits & 0x000000FF000000FF) * 0x000F424000000064 +
              ((digits >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >>
             32;
  } else {
    for (; bytes > 0; --bytes, ++at) {
      if (*at < '0' || *at > '9') return std::nullopt;
      number = number * 10 + static_cast<std::uint64_t>(*at - '0');
    }
  }
  return number;
}

// The closing quote of the string whose first byte is at `at`, if it holds only ASCII without
// escapes and ends before `end`; nullptr otherwise.
inline const char* SkipPlainString(const char* at, const char* end) {
  while (at < end) {
    const std::uint32_t marks = NonPlain(at);
    if (marks != 0) {
      at += std::countr_zero(marks);
      return *at == '"' && at < end ? at : nullptr;
    }
    at += kScanBytes;
  }
  return nullptr;
}

// The last place in [begin, end) where "\n\t\"" begins; nullptr when there is none.
inline const char* FindLastTopLevelLine(const char* begin, const char* end) {
  constexpr std::ptrdiff_t kStep = 16;
  while (end - begin >= kStep) {
    end -= kStep;
    const std::uint32_t marks = TopLevelLines(end);
    if (marks != 0) return end + (std::bit_width(marks) - 1);
  }
  while (end > begin) {
    --end;
    if (std::memcmp(end, "\n\t\"", 3) == 0) return end;
  }
  return nullptr;
}

}  // namespace iperf3_exporter::scan
