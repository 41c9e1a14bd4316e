#include "common/iperf3/option_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "common/go_duration.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

// Digits with at most one point, at least one digit; no sign, no exponent.
std::optional<double> ParseDecimal(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (result.ec != std::errc() || result.ptr != end ||
      text.find_first_not_of("0123456789.") != std::string_view::npos) {
    return std::nullopt;
  }
  return value;
}

// `#[KMGT]`, the letter in either case.
std::optional<std::uint64_t> ParseScaled(std::string_view text, double kilo, std::uint64_t max) {
  constexpr std::string_view kUnits = "KMGTkmgt";
  const std::size_t unit = text.empty() ? kUnits.npos : kUnits.find(text.back());
  if (unit != kUnits.npos) text.remove_suffix(1);
  const auto number = ParseDecimal(text);
  if (!number) return std::nullopt;
  const double scaled =
      *number * (unit == kUnits.npos ? 1 : std::pow(kilo, static_cast<double>(unit % 4 + 1)));
  // What is less than one must not become 0: of a bitrate that means unlimited.
  if (scaled > static_cast<double>(max) || (scaled > 0 && scaled < 1)) return std::nullopt;
  // Rounded, because 0.1 M means 100000, whatever the nearest double is.
  return static_cast<std::uint64_t>(std::llround(scaled));
}

struct DscpClass {
  std::string_view name;
  std::uint64_t value;
};

// RFC 2474, 2597 and 3246.
constexpr std::array<DscpClass, 21> kDscpClasses = {{
    {"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},  {"cs4", 32},  {"cs5", 40},
    {"cs6", 48},  {"cs7", 56},  {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18},
    {"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30}, {"af41", 34},
    {"af42", 36}, {"af43", 38}, {"ef", 46},
}};

std::optional<std::uint64_t> ParseDscp(std::string_view text) {
  const auto* found = std::ranges::find(kDscpClasses, ToLower(text), &DscpClass::name);
  return found == kDscpClasses.end() ? ParseUnsigned(text) : found->value;
}

// A Go duration, rounded up, or a number of seconds.
std::optional<std::uint64_t> ParseWholeSeconds(std::string_view text) {
  if (const auto seconds = ParseUnsigned(text)) return seconds;
  const auto duration = ParseGoDuration(text);
  if (!duration || duration->count() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(*duration).count());
}

std::optional<std::uint64_t> ParseNumber(NumberForm form, std::string_view text) {
  switch (form) {
    case NumberForm::kInteger:
      return ParseUnsigned(text);
    case NumberForm::kBytes:
      return ParseScaled(text, 1024, kMaxByteCount);
    case NumberForm::kSeconds:
      return ParseWholeSeconds(text);
    case NumberForm::kDscp:
      return ParseDscp(text);
  }
  return std::nullopt;
}

std::string DescribeNumber(NumberForm form, const Bounds& bounds) {
  switch (form) {
    case NumberForm::kInteger:
      return "must be an integer from " + std::to_string(bounds.min) + " to " +
             std::to_string(bounds.max);
    case NumberForm::kBytes:
      return "must be a number of bytes as #[KMGT] from " + FormatByteCount(bounds.min) + " to " +
             FormatByteCount(bounds.max);
    case NumberForm::kSeconds:
      return "must be a duration such as 10s or 1m30s, from 0 to " +
             FormatGoDuration(std::chrono::seconds(bounds.max)) + ", or whole seconds";
    case NumberForm::kDscp:
      break;
  }
  const std::string classes = bounds.max == kMaxDscp ? " such as cs1, af41, ef" : " of these";
  return "must be 0 to " + std::to_string(bounds.max) + " or a class" + classes;
}

Result<std::uint64_t> ParseBoundedNumber(NumberForm form, std::string_view text,
                                         const Bounds& bounds) {
  const auto number = ParseNumber(form, text);
  if (number && *number >= bounds.min && *number <= bounds.max) return *number;
  return MakeError(DescribeNumber(form, bounds));
}

// Go's words for a boolean.
Result<bool> ParseBool(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return MakeError("must be true or false (boolean): 1 t T TRUE true True 0 f F FALSE false False");
}

// Sets one option, or returns an error that says what is expected.
class OptionParser {
 public:
  OptionParser(std::string_view text, std::uint64_t max, TestOptions& test)
      : text_(text), max_(max), test_(test) {}

  Status operator()(const RequestValue&) const { return {}; }

  Status operator()(const FlagOption& flag) const {
    return ParseBool(text_).map([&](bool value) { test_.*flag.member = value; });
  }

  template <typename Enum>
  Status operator()(const ModeOption<Enum>& mode) const {
    const auto value = ParseBool(text_);
    if (!value) return tl::unexpected(value.error());
    if (!*value) return {};
    // Only the direction has more than two modes.
    if (test_.*mode.member != Enum{}) {
      return MakeError("must not be true together with 'reverse_mode'");
    }
    test_.*mode.member = mode.value;
    return {};
  }

  Status operator()(const NumberOption& option) const {
    Bounds bounds = BoundsOf(option, test_);
    bounds.max = std::min(bounds.max, max_);
    return ParseBoundedNumber(option.form, text_, bounds).map([&](std::uint64_t number) {
      const bool is_default = option.form == NumberForm::kSeconds && number == 0;
      if (!is_default) SetNumber(option, number, test_);
    });
  }

  Status operator()(const BitrateOption&) const {
    const auto bitrate = ParseBitrate(text_);
    if (!bitrate) {
      // The Go exporter's words; ParameterErrorText recognizes them.
      return MakeError(
          "must provided as #[KMGT][/#]: bits per second, 0 for unlimited, and 1 to 1000 packets "
          "in a burst");
    }
    test_.bitrate_bits_per_second = bitrate->bits_per_second;
    test_.burst_packets = bitrate->burst_packets;
    return {};
  }

  Status operator()(const NameOption& option) const {
    if (!IsValidName(option, text_)) {
      return MakeError("must be " + std::string(option.expected) + ", at most " +
                       std::to_string(kMaxKernelNameBytes) + " bytes");
    }
    test_.*option.member = text_;
    return {};
  }

 private:
  std::string_view text_;
  std::uint64_t max_;
  TestOptions& test_;
};

}  // namespace

Status ParseOption(const TestOption& option, std::string_view text, TestOptions& test,
                   std::uint64_t max) {
  if (text.empty()) return {};
  Status parsed = std::visit(OptionParser(text, max, test), option.kind);
  if (!parsed || !option.only_with || *option.only_with == test.protocol) return parsed;
  if (!IsSet(option, test)) return {};
  return MakeError(*option.only_with == Protocol::kUdp
                       ? "must be true only together with 'udp_mode'"
                       : "must not be true together with 'udp_mode'");
}

Result<std::uint64_t> ParseBoundedInteger(std::string_view text, const Bounds& bounds) {
  return ParseBoundedNumber(NumberForm::kInteger, text, bounds);
}

std::optional<Bitrate> ParseBitrate(std::string_view text) {
  Bitrate bitrate;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    bitrate.burst_packets = ParseUnsigned(text.substr(slash + 1), 1, kMaxBurstPackets);
    if (!bitrate.burst_packets) return std::nullopt;
  }
  const auto bits = ParseScaled(text.substr(0, slash), 1000, kMaxBitsPerSecond64);
  if (!bits) return std::nullopt;
  bitrate.bits_per_second = *bits;
  return bitrate;
}

std::string FormatByteCount(std::uint64_t bytes) {
  constexpr std::string_view kUnits = "KMGT";
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + (unit == 0 ? "" : std::string(1, kUnits[unit - 1]));
}

std::string FormatBitrate(std::uint64_t bits_per_second) {
  for (const auto& [unit, letter] :
       {std::pair<std::uint64_t, char>{1'000'000'000, 'G'}, {1'000'000, 'M'}, {1000, 'K'}}) {
    const std::uint64_t thousandths = bits_per_second / (unit / 1000);
    if (bits_per_second < unit || thousandths * (unit / 1000) != bits_per_second) continue;
    std::string text = std::to_string(thousandths / 1000);
    if (const std::uint64_t rest = thousandths % 1000; rest != 0) {
      text += "." + std::to_string(1000 + rest).substr(1);
      text.erase(text.find_last_not_of('0') + 1);
    }
    return text + letter;
  }
  return std::to_string(bits_per_second);
}

}  // namespace iperf3_exporter
