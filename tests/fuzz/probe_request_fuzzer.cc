// Any bytes as the query of /probe and as its headers give a request within its bounds, or an error
// of one line.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/quoted_text.h"
#include "common/wire/wire.h"
#include "supervisor/exposition/exposition_format.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/probe/port_list.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/probe_timing.h"
#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckMessage(std::string_view message) {
  Require(!message.empty() && message.size() < 16 * kMaxQuotedValueBytes);
  Require(IsUtf8(message));
  for (const char c : message) Require(static_cast<unsigned char>(c) >= ' ' && c != '\x7f');
}

void CheckRequest(const ProbeRequest& request, const ProbeLimits& limits) {
  Require(!request.target.empty() && request.target.size() <= kMaxTargetBytes);
  Require(ParseHost(request.target) == request.host);
  Require(!request.ports.empty() && request.ports.size() <= kMaxPorts);
  for (const std::uint16_t port : request.ports) Require(port != 0);
  for (const char c : request.target) Require(c > ' ' && c < '\x7f' && c != '"' && c != '\\');
  const TestOptions& test = request.test;
  Require(test.period_seconds >= 1 &&
          std::chrono::seconds(test.period_seconds) <= limits.max_period);
  Require(test.parallel >= 1 && test.parallel <= limits.max_parallel);
  Require(!test.bind_address);
  // The worker accepts whatever the parser accepts.
  Job job;
  job.test = test;
  const auto command = wire::DecodeCommand(wire::Encode(job));
  Require(command && std::get<Job>(*command) == job);
  if (limits.max_bitrate_bits_per_second && test.protocol == Protocol::kTcp) {
    Require(test.bitrate_bits_per_second.value_or(0) != 0);
    Require(*test.bitrate_bits_per_second * test.parallel <= *limits.max_bitrate_bits_per_second);
  }
  ProbeReport report;
  report.target = request.target;
  Require(IsUtf8(BuildProbePage(report, {}, ExpositionFormat::kOpenMetrics)));
}

}  // namespace
}  // namespace iperf3_exporter

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace iperf3_exporter;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Iperf3Description iperf3{.version = "3.21", .capabilities = {}, .program = {}};
  iperf3.capabilities.options.set();
  const ProbeLimits limits[] = {{}, {std::chrono::seconds(1), 4, 1'000'000}};
  for (const ProbeLimits& limit : limits) {
    Options options;
    options.probe_limits = limit;
    const auto request = ParseProbeRequest(text, ModulesOfFlags(options), iperf3);
    if (request) {
      CheckRequest(*request, limit);
    } else {
      CheckMessage(request.error().text);
    }
  }
  if (const auto timeout = ParseScrapeTimeout(text)) {
    Require(timeout->count() >= 0 && *timeout <= std::chrono::hours(24));
  } else {
    CheckMessage(timeout.error().message);
  }
  (void)NegotiateFormat(text);
  return 0;
}
