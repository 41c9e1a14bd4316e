#include "common/iperf3/iperf3_units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "common/go_duration.h"
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

std::optional<std::uint64_t> ParseScaled(std::string_view text, double kilo, double max) {
  const int power = TakePower(text);
  std::optional<double> value = ParseDecimal(text);
  if (!value) return std::nullopt;
  for (int i = 0; i < power; ++i) *value *= kilo;
  if (*value > max) return std::nullopt;
  // 0.1 M is meant to be 100000, whatever the nearest double says.
  return static_cast<std::uint64_t>(std::llround(*value));
}

struct DscpClass {
  std::string_view name;
  std::uint64_t value;
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
    bitrate.burst_packets = ParseInteger(text.substr(slash + 1), 1, kMaxBurstPackets);
    if (!bitrate.burst_packets) return std::nullopt;
  }
  const auto bits =
      ParseScaled(text.substr(0, slash), 1000, static_cast<double>(kMaxBitsPerSecond64));
  if (!bits) return std::nullopt;
  bitrate.bits_per_second = *bits;
  return bitrate;
}

std::optional<std::uint64_t> ParseByteCount(std::string_view text) {
  return ParseScaled(text, 1024, static_cast<double>(kMaxByteCount));
}

std::optional<std::uint64_t> ParseDscp(std::string_view text) {
  if (const auto number = ParseInteger(text, 0, 63)) return number;
  const std::string lower = ToLower(text);
  for (const DscpClass& dscp : kDscpClasses) {
    if (dscp.name == lower) return dscp.value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> ParseWholeSeconds(std::string_view text) {
  if (const auto seconds = ParseInteger(text)) return seconds;
  const auto duration = ParseGoDuration(text);
  if (!duration || duration->count() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(*duration).count());
}

}  // namespace iperf3_exporter
