#include "common/net/host_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/wire/job.h"

namespace iperf3_exporter {
namespace {

bool IsV6Text(std::string_view text) {
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view zone = text.substr(percent + 1);
    if (zone.empty() || !HasOnly(zone, ".-_")) return false;
  }
  in6_addr address{};
  return ::inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) == 1;
}

}  // namespace

bool HasOnly(std::string_view text, std::string_view also) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           also.find(c) != std::string_view::npos;
  });
}

std::optional<HostText> ParseHostText(std::string_view text) {
  if (text.empty() || text.size() > kMaxTargetBytes || text.front() == '-') return std::nullopt;
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) text = text.substr(1, text.size() - 2);
  if (bracketed || text.find_first_of(":%") != std::string_view::npos) {
    if (!IsV6Text(text)) return std::nullopt;
    return HostText{std::string(text), HostForm::kV6};
  }
  if (!HasOnly(text, ".-_")) return std::nullopt;
  std::string host(text);
  in_addr address{};
  const bool v4 = ::inet_pton(AF_INET, host.c_str(), &address) == 1;
  return HostText{std::move(host), v4 ? HostForm::kV4 : HostForm::kName};
}

}  // namespace iperf3_exporter
