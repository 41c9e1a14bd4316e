// Host names and addresses as a request spells them. Pure: nothing is looked up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iperf3_exporter {

enum class HostForm : std::uint8_t { kName, kV4, kV6 };

struct HostText {
  std::string text;  // without brackets
  HostForm form = HostForm::kName;
};

// A host name, an IPv4 address, or an IPv6 address with brackets or without, with a zone or
// without (whether that interface exists is not asked here); at most kMaxTargetBytes.
[[nodiscard]] std::optional<HostText> ParseHostText(std::string_view text);

}  // namespace iperf3_exporter
