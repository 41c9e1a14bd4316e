// The query of /probe and the scrape time-out, as typed and bounded values. Nothing of a
// request goes further unless it passed here. Pure; loop thread or any other.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/deadline.h"
#include "common/wire/job.h"

namespace iperf3_exporter {

// Bounds that the operator sets (--probe.max-*).
struct ProbeLimits {
  std::chrono::seconds max_period{3600};
  std::uint32_t max_parallel = 128;
  // Of all streams of a direction together. With it set, a request that names no bitrate gets
  // what fits, because TCP's own default is no limit at all.
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
  // Names that mean nothing here, each once, escaped; for one line at debug level.
  std::vector<std::string> ignored_parameters;
};

// Answered with 400 and this text, one line without the line feed.
struct BadRequest {
  std::string message;
};

template <typename T>
using RequestResult = tl::expected<T, BadRequest>;

// `query` is what follows the `?`, still percent-encoded. Options that the installed iperf3
// (`version`) does not have are refused.
[[nodiscard]] RequestResult<ProbeRequest> ParseProbeRequest(std::string_view query,
                                                            const ProbeLimits& limits,
                                                            const Iperf3Capabilities& capabilities,
                                                            std::string_view version);

// X-Prometheus-Scrape-Timeout-Seconds. A finite positive number, else refused; what is more
// than a day counts as a day.
[[nodiscard]] RequestResult<std::chrono::nanoseconds> ParseScrapeTimeout(std::string_view header);

// --probe.default-timeout, --probe.timeout-offset, --iperf3.timeout.
struct ProbeTimes {
  std::chrono::nanoseconds default_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds offset = std::chrono::milliseconds(500);
  std::optional<std::chrono::nanoseconds> limit;
};

// When everything about a probe must be over, `received` being the time its request was read:
// scrape time-out minus the offset (half of the time-out when the offset is as large), and no
// later than the limit.
[[nodiscard]] Deadline ProbeDeadline(Deadline received,
                                     std::optional<std::chrono::nanoseconds> scrape_timeout,
                                     const ProbeTimes& times);

}  // namespace iperf3_exporter
