// The own tests on /config. Pure.
#pragma once

#include <string>
#include <vector>

#include "supervisor/config/own_test.h"

namespace iperf3_exporter {

// The key `tests` as in a configuration file; empty without tests. Fast: there may be thousands.
[[nodiscard]] std::string FormatOwnTests(const std::vector<OwnTestPointer>& tests);

}  // namespace iperf3_exporter
