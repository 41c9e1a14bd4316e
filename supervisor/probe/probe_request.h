// The query of /probe as typed and bounded values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/iperf3/iperf3_description.h"
#include "common/net/host.h"
#include "supervisor/config/module.h"
#include "supervisor/probe/query_string.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

struct ProbeRequest {
  std::string target;  // as requested, without a port: the label
  Host host;           // the same, parsed
  // Not empty, each once. The next one is tried while the server is busy or refuses.
  std::vector<std::uint16_t> ports = {5201};
  TestOptions test;          // without bind_address: each AddressPair has its own
  std::optional<Host> bind;  // the source
  IpVersion ip_version = IpVersion::kAny;
  ModulePointer module;  // never null once the request is parsed
  // The answer may be the result of an equal test that began no longer ago, or that of an equal
  // test that has not ended. 0: a test of its own.
  std::chrono::nanoseconds max_age{0};
  // Its tests count against a budget, which has room for one: none is tried again after data has
  // been transferred.
  bool has_budget = false;
  std::string client;    // who asks, see ClientNetwork; from the connection, not from the query
  std::string own_test;  // the name of the exporter's own test; empty: a client asks
  // Names of unknown parameters, each once.
  std::vector<std::string> ignored_parameters;
};

using ParsedRequest = tl::expected<ProbeRequest, Refusal>;

// `query` is what follows the `?`, still percent-encoded. Refuses options that the installed iperf3
// lacks or for which it has a known defect, and what the module does not let a URL change. Looks up
// nothing but the interface that the zone of an address names.
[[nodiscard]] ParsedRequest ParseProbeRequest(std::string_view query, const Modules& modules,
                                              const Iperf3Description& iperf3);

// The same of parameters that are already decoded.
[[nodiscard]] ParsedRequest BuildProbeRequest(const std::vector<QueryParameter>& parameters,
                                              const Modules& modules,
                                              const Iperf3Description& iperf3);

// One that has every feature and no known defect, while the installed one is not known.
[[nodiscard]] Iperf3Description AnyIperf3();

// Checks the parameters of each module with the rules of a request. `iperf3` is nullptr if it is
// not known yet: then its version and features do not matter. An Error names file and line.
[[nodiscard]] Status CheckModules(const Modules& modules, const Iperf3Description* iperf3);

}  // namespace iperf3_exporter
