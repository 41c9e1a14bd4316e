#include "common/iperf3/defects.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "common/text.h"

namespace iperf3_exporter {
namespace {

constexpr Iperf3Version kNever{UINT32_MAX, 0, 0};

bool HasBurst(const TestOptions& test) { return test.burst_packets.has_value(); }
bool OmitsUdp(const TestOptions& test) {
  return test.protocol == Protocol::kUdp && test.omit_seconds != 0;
}
bool HasBytesOfDownload(const TestOptions& test) {
  return test.bytes && test.direction == Direction::kDownload;
}
bool SkipsRxCopy(const TestOptions& test) { return test.skip_rx_copy; }

constexpr std::string_view kBurstDefect = "a bitrate with a burst is not limited";
constexpr std::string_view kBurstResponse = "`bitrate` with a burst is refused";

constexpr std::array kDefects = {
    Iperf3Defect{{3, 9, 0}, {3, 10, 0}, "3.9", kBurstDefect, kBurstResponse, HasBurst, "bitrate"},
    Iperf3Defect{{3, 18, 0}, {3, 19, 0}, "3.18", kBurstDefect, kBurstResponse, HasBurst, "bitrate"},
    Iperf3Defect{{0, 0, 0},
                 {3, 11, 0},
                 "up to 3.10",
                 "UDP's only sum counts the loss of the omitted seconds",
                 "`omit` with `udp_mode` is refused",
                 OmitsUdp,
                 "omit"},
    Iperf3Defect{{0, 0, 0},
                 {3, 10, 0},
                 "up to 3.9",
                 "a download never ends by its bytes",
                 "`bytes` with `reverse_mode` is refused",
                 HasBytesOfDownload,
                 "bytes"},
    Iperf3Defect{{3, 19, 0},
                 {3, 19, 1},
                 "3.19",
                 "the receiver of `--skip-rx-copy` writes beyond its buffer (CVE-2025-54351)",
                 "`skip_rx_copy` is refused",
                 SkipsRxCopy,
                 "skip_rx_copy"},
    Iperf3Defect{{3, 16, 0},
                 kNever,
                 "3.16 and newer",
                 "a test with `bytes` ends only at the end of an interval",
                 "the intervals are a sixtieth of `period`, 0.1 s or more"},
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
    return *number >= defect.first && *number < defect.fixed && defect.affects != nullptr &&
           defect.affects(test);
  });
  return found == kDefects.end() ? nullptr : &*found;
}

}  // namespace iperf3_exporter
