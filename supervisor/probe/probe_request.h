// The query of /probe as typed and bounded values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/iperf3/option_table.h"
#include "common/net/host.h"
#include "supervisor/config/probe_settings.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

enum class IpVersion : std::uint8_t { kAny, kV4, kV6 };

struct ProbeRequest {
  std::string target;  // as requested, without a port: the label
  Host host;           // the same, parsed
  std::uint16_t port = 5201;
  TestOptions test;          // without bind_address: each AddressPair has its own
  std::optional<Host> bind;  // the source
  IpVersion ip_version = IpVersion::kAny;
  std::string client;  // who asks, see ClientNetwork; from the connection, not from the query
  // Names of unknown parameters, each once.
  std::vector<std::string> ignored_parameters;
};

using ParsedRequest = tl::expected<ProbeRequest, Refusal>;

// `query` is what follows the `?`, still percent-encoded. Refuses options that the installed iperf3
// (`version`) lacks or for which it has a known defect. Looks up nothing but the interface that the
// zone of an address names.
[[nodiscard]] ParsedRequest ParseProbeRequest(std::string_view query, const ProbeLimits& limits,
                                              const Iperf3Capabilities& capabilities,
                                              std::string_view version);

}  // namespace iperf3_exporter
