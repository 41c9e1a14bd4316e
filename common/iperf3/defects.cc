#include "common/iperf3/defects.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace iperf3_exporter {
namespace {

bool HasBurst(const TestOptions& test) { return test.burst_packets.has_value(); }

constexpr std::string_view kBurst = "a bitrate with a burst is not limited";

constexpr std::array kDefects = {
    Iperf3Defect{{3, 9, 0}, {3, 10, 0}, kBurst, "bitrate", HasBurst},
    Iperf3Defect{{3, 18, 0}, {3, 19, 0}, kBurst, "bitrate", HasBurst},
    Iperf3Defect{{0, 0, 0},
                 {3, 11, 0},
                 "the UDP sum includes the loss of the omitted seconds",
                 "omit",
                 [](const TestOptions& test) {
                   return test.protocol == Protocol::kUdp && test.omit_seconds != 0;
                 }},
    Iperf3Defect{{0, 0, 0},
                 {3, 10, 0},
                 "a download does not stop after its bytes",
                 "bytes",
                 [](const TestOptions& test) {
                   return test.bytes && test.direction == Direction::kDownload;
                 }},
    Iperf3Defect{{3, 19, 0},
                 {3, 19, 1},
                 "the receiver of `--skip-rx-copy` writes beyond its buffer (CVE-2025-54351)",
                 "skip_rx_copy",
                 [](const TestOptions& test) { return test.skip_rx_copy; }},
};

}  // namespace

std::optional<Iperf3Version> ParseIperf3VersionNumber(std::string_view text) {
  Iperf3Version version;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (unsigned* part : {&version.major, &version.minor, &version.patch}) {
    if (part != &version.major) {
      if (at == end || *at != '.') break;
      ++at;
    }
    const auto [next, error] = std::from_chars(at, end, *part);
    if (error != std::errc()) return std::nullopt;
    at = next;
  }
  return version;
}

std::span<const Iperf3Defect> Iperf3Defects() { return kDefects; }

const Iperf3Defect* FindDefect(std::string_view version, const TestOptions& test) {
  const auto number = ParseIperf3VersionNumber(version);
  if (!number) return nullptr;
  const auto found = std::ranges::find_if(kDefects, [&](const Iperf3Defect& defect) {
    return *number >= defect.introduced && *number < defect.fixed_in && defect.affects(test);
  });
  return found == kDefects.end() ? nullptr : &*found;
}

}  // namespace iperf3_exporter
