#include "supervisor/config/target_policy.h"

#include <algorithm>
#include <array>
#include <optional>

#include "common/net/embedded_ipv4.h"
#include "common/text.h"

namespace iperf3_exporter {
namespace {

constexpr unsigned kV4Bits = 32;
constexpr unsigned kV6Bits = 128;

// Lower case, without the final dot of a fully qualified name.
std::string Canonical(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  return ToLower(name);
}

// The first `prefix_bits` bits of an address; the others are 0.
auto Prefix(const IpAddress& address, unsigned prefix_bits) {
  auto bytes = address.bytes;
  for (unsigned bit = prefix_bits; bit < kV6Bits; ++bit) {
    bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
  }
  return bytes;
}

// The address of a rule such as 10.0.0.0/8. nullopt for any other rule; a rule has no zone.
std::optional<IpAddress> AddressOfRule(const std::string& rule) {
  const auto host = ParseHost(std::string_view(rule).substr(0, rule.find('/')));
  return host && host->address && host->address->scope_id == 0 ? host->address : std::nullopt;
}

// Also of an address whose zone is not an interface. nullopt for a name.
std::optional<IpAddress> NumericAddress(const Host& host) {
  if (host.kind == HostKind::kName) return std::nullopt;
  return ParseIpAddress(host.text.substr(0, host.text.find('%')));
}

// Each label of a name has 1 to 63 characters (RFC 1035); the root's, after a final dot, is empty.
bool HasValidLabels(std::string_view name) {
  constexpr std::size_t kMaxLabelBytes = 63;
  if (name.ends_with('.')) name.remove_suffix(1);
  while (true) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    if (dot == 0 || dot > kMaxLabelBytes) return false;
    if (dot == name.size()) return true;
    name.remove_prefix(dot + 1);
  }
}

bool EndsWithNumber(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return last.find_first_not_of("0123456789") == last.npos;
}

bool IsUnspecified(const IpAddress& address) {
  return Unmapped(address).bytes == IpAddress().bytes;
}

}  // namespace

Status TargetPolicy::AddTarget(const std::string& rule) {
  AllowList& list = allowed_.back();
  if (const auto address = AddressOfRule(rule)) return AddNetwork(*address, rule, list.networks);
  const bool is_suffix = rule.starts_with("*.");
  const auto name = ParseHost(std::string_view(rule).substr(is_suffix ? 2 : 0));
  // A name that ends with a number is an invalid address, or a range of addresses.
  if (EndsWithNumber(rule) || !name || name->kind != HostKind::kName ||
      !HasValidLabels(name->text)) {
    return MakeError("a CIDR, a host name or *.suffix");
  }
  if (is_suffix) {
    list.suffixes.push_back('.' + Canonical(name->text));
  } else {
    list.names.push_back(Canonical(name->text));
  }
  return {};
}

Status TargetPolicy::AddDeniedTarget(const std::string& rule) {
  const auto address = AddressOfRule(rule);
  if (!address) return MakeError("a CIDR or an IP address");
  return AddNetwork(*address, rule, denied_);
}

Status TargetPolicy::AddNetwork(const IpAddress& address, const std::string& rule,
                                Networks& networks) {
  const unsigned bits = address.is_v6 ? kV6Bits : kV4Bits;
  const std::size_t slash = rule.find('/');
  const auto number = slash == std::string::npos
                          ? bits
                          : ParseUnsigned(std::string_view(rule).substr(slash + 1), 0, bits);
  if (!number) {
    return MakeError("a prefix length from 0 to " + std::to_string(bits) + " after the /");
  }
  Network network{address, static_cast<unsigned>(*number), rule};
  IpAddress first = address;
  first.bytes = Prefix(address, network.prefix_bits);
  if (first != address) {
    return MakeError("an address without bits set after its prefix, such as " + ToString(first) +
                     rule.substr(slash));
  }
  // Addresses are compared unmapped. A prefix shorter than the mapped one was refused above.
  network.address = Unmapped(address);
  if (network.address.is_v6 != address.is_v6) network.prefix_bits -= kV6Bits - kV4Bits;
  networks.push_back(network);
  return {};
}

Status TargetPolicy::AddPort(const std::string& rule) {
  const std::size_t dash = rule.find('-');
  const std::string_view text = rule;
  const auto first = ParseUnsigned(text.substr(0, dash), 1, UINT16_MAX);
  const auto last =
      dash == std::string::npos ? first : ParseUnsigned(text.substr(dash + 1), 1, UINT16_MAX);
  if (!first || !last || *first > *last) return MakeError("a port or a range such as 5201-5210");
  ports_.emplace_back(static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last));
  return {};
}

bool TargetPolicy::AllowList::IsEmpty() const {
  return networks.empty() && names.empty() && suffixes.empty();
}

bool TargetPolicy::AllowList::AllowsName(const Host& host) const {
  if (host.kind != HostKind::kName) return false;
  const std::string name = Canonical(host.text);
  if (std::ranges::find(names, name) != names.end()) return true;
  return std::ranges::any_of(suffixes, [&](const std::string& suffix) {
    return name.size() > suffix.size() && name.ends_with(suffix);
  });
}

bool TargetPolicy::AllowList::Allows(const Host& host, const IpAddress& address) const {
  return IsEmpty() || AllowsName(host) || Contains(networks, address);
}

bool TargetPolicy::AllowList::MayAllow(const Host& host) const {
  return IsEmpty() || !networks.empty() || AllowsName(host);
}

const TargetPolicy::Network* TargetPolicy::Find(const Networks& networks,
                                                const IpAddress& address) {
  const IpAddress plain = Unmapped(address);
  const auto found = std::ranges::find_if(networks, [&](const Network& network) {
    return network.address.is_v6 == plain.is_v6 &&
           network.address.bytes == Prefix(plain, network.prefix_bits);
  });
  return found == networks.end() ? nullptr : &*found;
}

const TargetPolicy::Network* TargetPolicy::FindDenied(const IpAddress& address) const {
  if (const Network* network = Find(denied_, address)) return network;
  for (const IpAddress& embedded : EmbeddedIpv4(address)) {
    if (const Network* network = Find(denied_, embedded)) return network;
  }
  return nullptr;
}

bool TargetPolicy::Denies(const IpAddress& address) const {
  return IsInDeniedNetwork(address) || (IsUnspecified(address) && !denied_.empty());
}

bool TargetPolicy::AllowsTarget(const Host& host, const IpAddress& address) const {
  return !Denies(address) && std::ranges::all_of(allowed_, [&](const AllowList& list) {
    return list.Allows(host, address);
  });
}

bool TargetPolicy::MayAllow(const Host& host) const {
  if (const auto address = NumericAddress(host)) return AllowsTarget(host, *address);
  return std::ranges::all_of(allowed_,
                             [&host](const AllowList& list) { return list.MayAllow(host); });
}

const std::string& TargetPolicy::RefusingList(const Host& host,
                                              const std::vector<IpAddress>& addresses) const {
  const auto refuses = [&](const AllowList& list) {
    return addresses.empty() ? !list.MayAllow(host)
                             : std::ranges::none_of(addresses, [&](const IpAddress& address) {
                                 return list.Allows(host, address);
                               });
  };
  const auto found = std::ranges::find_if(allowed_, refuses);
  // No list refuses them all if each address is refused by another one.
  return (found == allowed_.end() ? allowed_.back() : *found).source;
}

std::string TargetPolicy::ForbiddenText(const Host& host,
                                        const std::vector<IpAddress>& addresses) const {
  const auto denies = [this](const IpAddress& address) { return Denies(address); };
  const std::string not_allowed = "the target is not allowed: ";
  const auto numeric = NumericAddress(host);
  const std::string subject =
      numeric || addresses.empty() ? host.text : "the address of " + host.text;
  if (!(numeric ? denies(*numeric) : std::ranges::any_of(addresses, denies))) {
    return not_allowed + subject + " is not in " +
           RefusingList(host, numeric ? std::vector{*numeric} : addresses);
  }
  if (numeric && !IsInDeniedNetwork(*numeric)) {
    return not_allowed + subject +
           " means this host and is denied whenever --probe.deny-target is set";
  }
  return not_allowed + "--probe.deny-target denies " + subject;
}

std::string TargetPolicy::ForbiddenDetail(const Host& host,
                                          const std::vector<IpAddress>& addresses) const {
  const auto numeric = NumericAddress(host);
  std::string detail;
  for (const IpAddress& address : numeric ? std::vector{*numeric} : addresses) {
    const Network* network = FindDenied(address);
    detail += (detail.empty() ? "" : ", ") + ToString(address) +
              (network != nullptr ? " is denied by --probe.deny-target=" + network->rule
               : Denies(address)  ? " means this host and is denied with any --probe.deny-target"
                                  : " is not in " + RefusingList(host, {address}));
  }
  return detail;
}

std::string TargetPolicy::ForbiddenPortText(std::uint16_t port) {
  return "the port is not allowed: port " + std::to_string(port) + " is not in --probe.allow-port";
}

bool TargetPolicy::AllowsPort(std::uint16_t port) const {
  return ports_.empty() || std::ranges::any_of(ports_, [port](const auto& range) {
           return port >= range.first && port <= range.second;
         });
}

}  // namespace iperf3_exporter
