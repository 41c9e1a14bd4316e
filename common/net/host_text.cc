#include "common/net/host_text.h"

#include <arpa/inet.h>

#include <utility>

#include "common/text.h"
#include "common/wire/job.h"

namespace iperf3_exporter {
namespace {

bool IsV6Text(std::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view zone = text.substr(percent + 1);
    if (zone.empty() || !HasOnlyAlnumOr(zone, ".-_")) return false;
  }
  in6_addr address{};
  return ::inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) == 1;
}

}  // namespace

std::optional<HostText> ParseHostText(std::string_view text) {
  if (text.empty() || text.size() > kMaxTargetBytes || text.front() == '-') return std::nullopt;
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) text = text.substr(1, text.size() - 2);
  if (bracketed || text.find_first_of(":%") != std::string_view::npos) {
    if (!IsV6Text(text)) return std::nullopt;
    return HostText{std::string(text), HostForm::kV6};
  }
  if (!HasOnlyAlnumOr(text, ".-_")) return std::nullopt;
  std::string host(text);
  in_addr address{};
  const bool v4 = ::inet_pton(AF_INET, host.c_str(), &address) == 1;
  return HostText{std::move(host), v4 ? HostForm::kV4 : HostForm::kName};
}

}  // namespace iperf3_exporter
