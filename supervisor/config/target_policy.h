// The allowed targets and ports: --probe.allow-target, --probe.deny-target and --probe.allow-port,
// and allow_targets of a module. An empty allow-list allows all. What is denied is never allowed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/net/host.h"

namespace iperf3_exporter {

class TargetPolicy {
 public:
  // Allows everything.
  TargetPolicy() = default;

  // Adds a rule: CIDR or address (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`), host name
  // (`probe.example.org`), or `*.example.org` for every name below it. A CIDR with bits set after
  // its prefix is refused. The error says what was expected.
  [[nodiscard]] Status AddTarget(const std::string& rule);
  // Begins a further allow-list, which AddTarget fills from now on: a target must be in each list.
  // `source` names it in refusals.
  void AddAllowList(std::string source) { allowed_.push_back({.source = std::move(source)}); }
  // Adds a CIDR or an address to the deny-list, with the same rules. An IPv4 rule also denies the
  // IPv6 addresses that a translator or a tunnel takes there (embedded_ipv4.h).
  [[nodiscard]] Status AddDeniedTarget(const std::string& rule);
  // `5201` or `5201-5210`.
  [[nodiscard]] Status AddPort(const std::string& rule);

  // `host` is what was requested, `address` what it resolved to and what iperf3 is given. Names
  // are compared without case and without a final dot. An IPv4-mapped IPv6 address counts as the
  // IPv4 address, also in a rule.
  [[nodiscard]] bool AllowsTarget(const Host& host, const IpAddress& address) const;
  [[nodiscard]] bool AllowsPort(std::uint16_t port) const;

  // Whether `host` may turn out to be allowed once it is resolved. For an address this is final,
  // whatever its zone; a name that no rule can allow need not be resolved.
  [[nodiscard]] bool MayAllow(const Host& host) const;

  // One line for the client: why the target is not allowed. It names the list, but reveals neither
  // a rule nor the address of a name. `addresses` are those of a name; empty: not resolved.
  [[nodiscard]] std::string ForbiddenText(const Host& host,
                                          const std::vector<IpAddress>& addresses) const;

  // The same for the log: each address with the rule that denies it. Empty if there is no address.
  [[nodiscard]] std::string ForbiddenDetail(const Host& host,
                                            const std::vector<IpAddress>& addresses) const;

  [[nodiscard]] static std::string ForbiddenPortText(std::uint16_t port);

  // Neither an allow-list nor a deny-list restricts the targets.
  [[nodiscard]] bool IsOpen() const {
    return std::ranges::all_of(allowed_, &AllowList::IsEmpty) && denied_.empty();
  }

 private:
  struct Network {
    IpAddress address;
    unsigned prefix_bits = 0;
    std::string rule;  // as given
  };

  using Networks = std::vector<Network>;

  struct AllowList {
    [[nodiscard]] bool IsEmpty() const;
    [[nodiscard]] bool AllowsName(const Host& host) const;
    [[nodiscard]] bool Allows(const Host& host, const IpAddress& address) const;
    [[nodiscard]] bool MayAllow(const Host& host) const;

    std::string source;
    Networks networks = {};
    std::vector<std::string> names = {};     // lower case
    std::vector<std::string> suffixes = {};  // lower case, with the leading dot
  };

  [[nodiscard]] static Status AddNetwork(const IpAddress& address, const std::string& rule,
                                         Networks& networks);
  // The first network that contains the address; nullptr if none does.
  [[nodiscard]] static const Network* Find(const Networks& networks, const IpAddress& address);
  [[nodiscard]] static bool Contains(const Networks& networks, const IpAddress& address) {
    return Find(networks, address) != nullptr;
  }
  // Also by an IPv4 address inside an IPv6 address (embedded_ipv4.h).
  [[nodiscard]] const Network* FindDenied(const IpAddress& address) const;
  [[nodiscard]] bool IsInDeniedNetwork(const IpAddress& address) const {
    return FindDenied(address) != nullptr;
  }
  // The unspecified address reaches this host by any of its addresses, so it is denied as soon as
  // anything is.
  [[nodiscard]] bool Denies(const IpAddress& address) const;
  // The list that refuses the host, or its addresses if they are known.
  [[nodiscard]] const std::string& RefusingList(const Host& host,
                                                const std::vector<IpAddress>& addresses) const;

  std::vector<AllowList> allowed_ = {{.source = "--probe.allow-target"}};
  Networks denied_;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports_;
};

}  // namespace iperf3_exporter
