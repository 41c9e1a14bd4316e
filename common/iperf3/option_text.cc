#include "common/iperf3/option_text.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/go_duration.h"
#include "common/overloaded.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

std::optional<std::uint64_t> ParseNumber(NumberForm form, std::string_view text) {
  switch (form) {
    case NumberForm::kInteger:
      return ParseInteger(text);
    case NumberForm::kBytes:
      return ParseByteCount(text);
    case NumberForm::kSeconds:
      return ParseWholeSeconds(text);
    case NumberForm::kDscp:
      return ParseDscp(text);
  }
  return std::nullopt;
}

std::string DescribeNumber(NumberForm form, const Bounds& bounds) {
  const auto range = [&bounds] {
    return "from " + std::to_string(bounds.min) + " to " + std::to_string(bounds.max);
  };
  switch (form) {
    case NumberForm::kInteger:
      return "must be an integer " + range();
    case NumberForm::kBytes:
      return "must be a number of bytes as #[KMGT] " + range();
    case NumberForm::kSeconds:
      return "must be a duration such as 10s or 1m30s, from 0 to " +
             FormatGoDuration(std::chrono::seconds(bounds.max)) + ", or whole seconds";
    case NumberForm::kDscp:
      break;
  }
  return "must be 0 to 63 or a class such as cs1, af41, ef";
}

Result<std::uint64_t> ParseBoundedNumber(NumberForm form, std::string_view text,
                                         const Bounds& bounds) {
  const auto number = ParseNumber(form, text);
  if (!number || *number < bounds.min || *number > bounds.max) {
    return MakeError(DescribeNumber(form, bounds));
  }
  return *number;
}

// Each returns an error that says what is expected.
class OptionParser {
 public:
  OptionParser(std::string_view text, std::uint64_t max, TestOptions& test)
      : text_(text), max_(max), test_(test) {}

  Status operator()(const RequestValue&) const { return {}; }

  Status operator()(const FlagOption& flag) const {
    const auto value = ParseBool(text_);
    if (!value) return tl::unexpected(value.error());
    test_.*flag.member = *value;
    return {};
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
    const auto number = ParseBoundedNumber(option.form, text_, bounds);
    if (!number) return tl::unexpected(number.error());
    const bool is_default = option.form == NumberForm::kSeconds && *number == 0;
    if (!is_default) SetNumber(option, *number, test_);
    return {};
  }

  Status operator()(const BitrateOption&) const {
    const auto bitrate = ParseBitrate(text_);
    if (!bitrate) {
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

Result<bool> ParseBool(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 7> kFalse = {"", "0", "f", "F", "FALSE", "false", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return MakeError("must be true or false (boolean): 1 t T TRUE true True 0 f F FALSE false False");
}

Result<std::uint64_t> ParseBoundedInteger(std::string_view text, const Bounds& bounds) {
  return ParseBoundedNumber(NumberForm::kInteger, text, bounds);
}

}  // namespace iperf3_exporter
