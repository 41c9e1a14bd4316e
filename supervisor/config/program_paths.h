// Where the programs are that the exporter starts.
#pragma once

#include <string>

namespace iperf3_exporter {

// The first executable program of that name in the absolute directories of PATH; empty if there is
// none.
[[nodiscard]] std::string FindOnPath(const std::string& name);

// The worker program: beside this one, else in the libexec directory; empty if it is in neither.
[[nodiscard]] std::string FindWorker();

// What a path was expected to name; empty when it names a program that can be executed.
[[nodiscard]] std::string ExpectedProgram(const std::string& path);

}  // namespace iperf3_exporter
