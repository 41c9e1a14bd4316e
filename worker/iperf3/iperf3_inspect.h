// The version and capabilities of the installed iperf3, from its own output.
#pragma once

#include <string>
#include <string_view>

#include "common/error.h"
#include "common/iperf3/iperf3_description.h"
#include "worker/process/iperf3_process.h"

namespace iperf3_exporter {

// The version in the first line of `iperf3 --version`. Pure; fails on anything that is not
// iperf3's.
[[nodiscard]] Result<std::string> ParseIperf3Version(std::string_view text);

// Runs `iperf3 --version` in the one and `iperf3 --help` in the other process, both at the same
// time, in the sandbox: so a sandbox in which iperf3 can't work shows before any probe. Blocks for
// at most a minute. `program` becomes part of the description.
[[nodiscard]] Result<Iperf3Description> RunInspection(Iperf3Process& for_version,
                                                      Iperf3Process& for_help,
                                                      const FileIdentity& program);

}  // namespace iperf3_exporter
