// Standard error, whose reader nobody may wait for: it may be a pipe that is full and not read.
#pragma once

#include <cstddef>
#include <string_view>

namespace iperf3_exporter {

// Writes what standard error takes now, and returns the number of bytes. Neither allocates nor
// waits, whether the descriptor is blocking or not.
std::size_t WriteToStderr(std::string_view text);

}  // namespace iperf3_exporter
