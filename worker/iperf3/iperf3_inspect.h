// What the installed iperf3 is, by what it says of itself.
#pragma once

#include <string>
#include <string_view>

#include "common/error.h"
#include "common/iperf3/option_table.h"
#include "worker/process/iperf3_process.h"

namespace iperf3_exporter {

struct Iperf3Description {
  std::string version;  // "3.12"; printable, at most kMaxVersionTextBytes
  Iperf3Capabilities capabilities;
};

// The version in the first line of `iperf3 --version`. Pure; fails on anything that is not
// iperf3's.
[[nodiscard]] Result<std::string> ParseIperf3Version(std::string_view text);

// Runs both, in the sandbox: so a sandbox in which iperf3 can't work shows before any probe.
// Blocks for at most some seconds.
[[nodiscard]] Result<Iperf3Description> RunInspection(Iperf3Process& process);

}  // namespace iperf3_exporter
