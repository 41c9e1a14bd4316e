// The text of /config. Pure.
#pragma once

#include <string>

#include "supervisor/config/module.h"

namespace iperf3_exporter {

// The modules and own tests in effect, with defaults and effective limits, as a configuration file.
// Begins with what requests without a module get, as `default`, even if the file has no such
// module, unless such requests are refused. Shows the names of files, but nothing of their content.
[[nodiscard]] std::string FormatModules(const Modules& modules);

}  // namespace iperf3_exporter
