// Emulated machines, in which tests/kernels runs tests.
#pragma once

#include <cstdlib>

namespace iperf3_exporter {

// Whether this is one: its processors wait for the host's, so nothing is done in a limited time.
inline bool IsEmulated() { return std::getenv("EXPORTER_IS_EMULATED") != nullptr; }

}  // namespace iperf3_exporter
