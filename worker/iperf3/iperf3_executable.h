// The iperf3 program: found once, checked once, and from then on known by its descriptor
// alone, so that nothing else can take its place.
#pragma once

#include <string>

#include "common/error.h"
#include "common/iperf3/iperf3_description.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// Opens `path` read-only and close-on-exec. Fails, naming what is wrong, unless it is a regular
// executable ELF file that only its owner can write, the owner being root or the user
// that we run as. (A script is refused: the kernel would have to open it again by name.)
[[nodiscard]] Result<UniqueFd> OpenIperf3(const std::string& path);

// Of the open program.
[[nodiscard]] Result<FileIdentity> IdentityOf(int program_fd);

}  // namespace iperf3_exporter
