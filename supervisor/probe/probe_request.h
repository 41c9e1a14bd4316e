// The query of /probe as typed and bounded values. Nothing of a request goes further unless it
// passed here. Pure; loop thread or any other.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/wire/job.h"
#include "supervisor/probe/bad_request.h"

namespace iperf3_exporter {

// Bounds that the operator sets (--probe.max-*).
struct ProbeLimits {
  std::chrono::seconds max_period{3600};
  std::uint32_t max_parallel = 128;
  // Of all streams together, those of both directions of a bidirectional test included. With it
  // set, a request that names no bitrate gets what fits, because TCP's own default is no limit at
  // all.
  std::optional<std::uint64_t> max_bitrate_bits_per_second;
};

enum class IpVersion : std::uint8_t { kAny, kV4, kV6 };

struct ProbeRequest {
  std::string target;  // as asked for: the label
  std::string host;    // the same without brackets: to be resolved
  std::uint16_t port = 5201;
  // bind_address is set here only when it was given as an address.
  TestOptions test;
  std::string bind;  // as asked for, without brackets: address or host name; empty: none
  IpVersion ip_version = IpVersion::kAny;
  // Names that mean nothing here, each once; for one line each at debug level.
  std::vector<std::string> ignored_parameters;
};

// `query` is what follows the `?`, still percent-encoded. Options that the installed iperf3
// (`version`) does not have are refused.
[[nodiscard]] RequestResult<ProbeRequest> ParseProbeRequest(std::string_view query,
                                                            const ProbeLimits& limits,
                                                            const Iperf3Capabilities& capabilities,
                                                            std::string_view version);

}  // namespace iperf3_exporter
