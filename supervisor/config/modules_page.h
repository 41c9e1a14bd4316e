// The text of /config. Pure.
#pragma once

#include <string>

#include "supervisor/config/module.h"

namespace iperf3_exporter {

// The modules in effect, with defaults and effective limits, as a configuration file; `default` is
// included even if there is no such module. Shows the names of files, but nothing of their content.
[[nodiscard]] std::string FormatModules(const Modules& modules);

}  // namespace iperf3_exporter
