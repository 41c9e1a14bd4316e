// Writes to standard error without waiting for its reader: it may be a full pipe that nobody reads.
#pragma once

#include <cstddef>
#include <string_view>

namespace iperf3_exporter {

// Writes as much as standard error accepts at once, and returns the number of bytes. Does not
// allocate. Does not block, unless the descriptor is blocking and another process fills it at the
// same moment.
std::size_t WriteToStderr(std::string_view text);

}  // namespace iperf3_exporter
