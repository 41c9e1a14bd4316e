#include "common/net/host.h"

#include <arpa/inet.h>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

bool IsV6(const std::string& text) {
  const std::size_t percent = text.find('%');
  if (percent != std::string::npos) {
    const std::string_view zone = std::string_view(text).substr(percent + 1);
    if (zone.empty() || !HasOnlyAlnumOr(zone, ".-_")) return false;
  }
  in6_addr address{};
  return ::inet_pton(AF_INET6, text.substr(0, percent).c_str(), &address) == 1;
}

}  // namespace

std::optional<Host> ParseHost(std::string_view text) {
  if (text.empty() || text.size() > kMaxTargetBytes || text.front() == '-') return std::nullopt;
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) text = text.substr(1, text.size() - 2);
  Host host{HostKind::kName, std::string(text), ParseIpAddress(std::string(text))};
  if (bracketed || text.find_first_of(":%") != std::string_view::npos) {
    if (!IsV6(host.text)) return std::nullopt;
    host.kind = HostKind::kV6;
  } else if (host.address) {
    host.kind = HostKind::kV4;
  } else if (!HasOnlyAlnumOr(text, ".-_")) {
    return std::nullopt;
  }
  return host;
}

HostAndRest SplitHostPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos &&
                        (text.find(':') == colon || text.substr(0, colon).ends_with(']'));
  if (!has_port) return {text, {}};
  return {text.substr(0, colon), text.substr(colon)};
}

}  // namespace iperf3_exporter
