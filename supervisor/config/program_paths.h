// The paths of the programs that the exporter starts.
#pragma once

#include <string>

namespace iperf3_exporter {

// The first executable program called `name` in the absolute directories of PATH; empty if there is
// none.
[[nodiscard]] std::string FindOnPath(const std::string& name);

// The worker program: beside this program, else in the libexec directory; empty if in neither.
[[nodiscard]] std::string FindWorker();

}  // namespace iperf3_exporter
