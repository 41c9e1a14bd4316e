#include "supervisor/probe/iperf3_units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

// 0 to 4 for none, K, M, G, T at the end of `text`, which is taken off.
int TakePower(std::string_view& text) {
  if (text.empty()) return 0;
  const std::size_t power = std::string_view("KMGTkmgt").find(text.back());
  if (power == std::string_view::npos) return 0;
  text.remove_suffix(1);
  return static_cast<int>(power % 4) + 1;
}

// Digits with at most one point, at least one digit; no sign, no exponent.
std::optional<double> ParseDecimal(std::string_view text) {
  bool digit = false;
  bool point = false;
  for (const char c : text) {
    if (c == '.' && !point) {
      point = true;
    } else if (IsDigit(c)) {
      digit = true;
    } else {
      return std::nullopt;
    }
  }
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (!digit || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> ParseScaled(std::string_view text, double kilo, double most) {
  const int power = TakePower(text);
  std::optional<double> value = ParseDecimal(text);
  if (!value) return std::nullopt;
  for (int i = 0; i < power; ++i) *value *= kilo;
  if (*value > most) return std::nullopt;
  // 0.1 M is meant to be 100000, whatever the nearest double says.
  return static_cast<std::uint64_t>(std::llround(*value));
}

struct DscpClass {
  std::string_view name;
  std::uint32_t value;
};

constexpr std::array<DscpClass, 21> kDscpClasses = {{
    {"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},  {"cs4", 32},  {"cs5", 40},
    {"cs6", 48},  {"cs7", 56},  {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18},
    {"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30}, {"af41", 34},
    {"af42", 36}, {"af43", 38}, {"ef", 46},
}};

}  // namespace

std::optional<Bitrate> ParseBitrate(std::string_view text) {
  Bitrate bitrate;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto burst = ParseInteger(text.substr(slash + 1), 1, kMaxBurstPackets);
    if (!burst) return std::nullopt;
    bitrate.burst_packets = static_cast<std::uint32_t>(*burst);
  }
  const auto bits =
      ParseScaled(text.substr(0, slash), 1000, static_cast<double>(kMaxBitsPerSecond64));
  if (!bits) return std::nullopt;
  bitrate.bits_per_second = *bits;
  return bitrate;
}

std::optional<std::uint64_t> ParseByteCount(std::string_view text) {
  constexpr double kMost = 1ULL << 50;
  return ParseScaled(text, 1024, kMost);
}

std::optional<std::uint32_t> ParseDscp(std::string_view text) {
  if (const auto number = ParseInteger(text, 0, 63)) return static_cast<std::uint32_t>(*number);
  const std::string lower = ToLower(text);
  for (const DscpClass& dscp : kDscpClasses) {
    if (dscp.name == lower) return dscp.value;
  }
  return std::nullopt;
}

}  // namespace iperf3_exporter
