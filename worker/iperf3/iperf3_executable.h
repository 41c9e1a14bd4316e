// The iperf3 program: opened and checked once, and from then on used only by its descriptor, so
// that it can't be replaced.
#pragma once

#include <string>

#include "common/error.h"
#include "common/iperf3/iperf3_description.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// Opens `path` read-only and close-on-exec. Fails, with the reason, unless it is a regular
// executable ELF file that only its owner, root or our own user, can write. (A script is rejected,
// because the kernel would have to open it again by name.)
[[nodiscard]] Result<UniqueFd> OpenIperf3(const std::string& path);

// Of the open program.
[[nodiscard]] Result<FileIdentity> IdentityOf(int program_fd);

}  // namespace iperf3_exporter
