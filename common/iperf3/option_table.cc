#include "common/iperf3/option_table.h"

#include <algorithm>
#include <string>

#include "common/overloaded.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

using OptionalNumber = std::optional<std::uint64_t> TestOptions::*;

bool IsBurstOrRateSet(const TestOptions& test) {
  return test.bitrate_bits_per_second || test.burst_packets;
}

}  // namespace

const TestOption* FindTestOption(std::string_view name) {
  const auto* found = std::ranges::find_if(kTestOptions, [name](const TestOption& option) {
    return name == option.name || (!option.alias.empty() && name == option.alias);
  });
  return found == kTestOptions.end() ? nullptr : found;
}

bool HasOption(const Iperf3Capabilities& capabilities, const TestOption& option) {
  return option.help_word.empty() ||
         capabilities.options[static_cast<std::size_t>(&option - kTestOptions.data())];
}

Iperf3Capabilities ParseIperf3Help(std::string_view text) {
  const auto mentions = [text](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  };
  Iperf3Capabilities capabilities;
  for (std::size_t row = 0; row < kTestOptions.size(); ++row) {
    const std::string_view word = kTestOptions[row].help_word;
    capabilities.options[row] = !word.empty() && mentions(word);
  }
  capabilities.authentication = mentions("--rsa-public-key-path");
  capabilities.pkcs1_padding = mentions("--use-pkcs1-padding");
  capabilities.connect_timeout = mentions("--connect-timeout");
  capabilities.udp_counters_64bit = mentions("--udp-counters-64bit");
  return capabilities;
}

bool IsSet(const TestOption& option, const TestOptions& test) {
  static const TestOptions kDefault;
  return std::visit(Overloaded{
                        [](const RequestValue&) { return false; },
                        [&](const FlagOption& flag) { return test.*flag.member; },
                        [&](const NumberOption& number) {
                          return GetNumber(number, test) != GetNumber(number, kDefault);
                        },
                        [&](const BitrateOption&) { return IsBurstOrRateSet(test); },
                        [&](const NameOption& name) { return !(test.*name.member).empty(); },
                        [&](const auto& mode) { return test.*mode.member == mode.value; },
                    },
                    option.kind);
}

std::optional<std::uint64_t> GetNumber(const NumberOption& option, const TestOptions& test) {
  return std::visit([&](auto member) { return std::optional<std::uint64_t>(test.*member); },
                    option.member);
}

void SetNumber(const NumberOption& option, std::uint64_t value, TestOptions& test) {
  std::visit(Overloaded{
                 [&](OptionalNumber member) { test.*member = value; },
                 [&](std::uint32_t TestOptions::*member) {
                   test.*member = static_cast<std::uint32_t>(value);
                 },
             },
             option.member);
}

Bounds BoundsOf(const NumberOption& option, const TestOptions& test) {
  Bounds bounds = option.bounds;
  if (option.udp_bounds && test.protocol == Protocol::kUdp) bounds = *option.udp_bounds;
  const auto* member = std::get_if<OptionalNumber>(&option.member);
  if (member != nullptr && *member == &TestOptions::client_port) {
    bounds.max -= CountStreams(test) - 1;  // further streams use the ports that follow
  }
  return bounds;
}

bool IsValidName(const NameOption& option, std::string_view name) {
  if (name.empty() || name.size() > kMaxKernelNameBytes) return false;
  if (name.front() == '-' || name.front() == '.') return false;
  return HasOnlyAlnumOr(name, option.also) && (!option.lower_case || ToLower(name) == name);
}

}  // namespace iperf3_exporter
