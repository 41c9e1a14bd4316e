// Where probes may go: --probe.allow-target and --probe.allow-port. An empty list allows all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/wire/job.h"

namespace iperf3_exporter {

class TargetPolicy {
 public:
  // Allows everything.
  TargetPolicy() = default;

  // Adds a rule: CIDR or address (`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`), host name
  // (`probe.example.org`), or `*.example.org` for every name below it. A CIDR with bits set behind
  // its prefix is refused. The error's text is what was expected.
  [[nodiscard]] Status AddTarget(const std::string& rule);
  // `5201` or `5201-5210`.
  [[nodiscard]] Status AddPort(const std::string& rule);

  // `host` is what was asked for (no brackets), `address` what it resolved to and what iperf3
  // will be given. Names compare without case and without a final dot. An IPv4 address mapped
  // into IPv6 is judged as the IPv4 address.
  [[nodiscard]] bool AllowsTarget(std::string_view host, const IpAddress& address) const;
  [[nodiscard]] bool AllowsPort(std::uint16_t port) const;

  // Whether some address could be allowed for `host`, before it is resolved: false spares the
  // resolver (and the outside world) a name that no rule can allow.
  [[nodiscard]] bool MayAllow(std::string_view host) const;

 private:
  struct Network {
    IpAddress address;
    unsigned prefix_bits = 0;
  };

  [[nodiscard]] bool AllowsName(std::string_view host) const;

  std::vector<Network> networks_;
  std::vector<std::string> names_;     // lower case
  std::vector<std::string> suffixes_;  // lower case, with the leading dot
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ports_;
};

}  // namespace iperf3_exporter
