// Landlock by raw system calls: which files are accessible and which TCP port can be connected to.
// The constants are our own, because the headers of the build machine may be older than the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// What is allowed beneath a file or directory.
enum class FileAccess : std::uint8_t {
  kRead,             // files beneath it
  kExecute,          // and read the files beneath
  kTemporaryFiles,   // create, read, write and remove files in it
  kRemoveDirectory,  // empty directories in it
};

struct FileRule {
  int fd = -1;  // borrowed
  FileAccess access = FileAccess::kRead;
};

// The kernel's Landlock version; 0 if it has none or an outer filter hides it.
[[nodiscard]] int LandlockAbi();

// The first version that restricts TCP ports.
inline constexpr int kLandlockAbiWithPorts = 4;

// The first version that restricts signals and abstract sockets.
inline constexpr int kLandlockAbiWithScope = 6;

// From now on the calling thread, and every thread and process that it creates, can open only these
// files. From kLandlockAbiWithScope they can signal only each other, and connect to no abstract
// socket of other processes. Descriptors that are open stay usable. Irreversible. Needs
// no-new-privileges.
[[nodiscard]] Status EnterFileRules(int abi, const std::vector<FileRule>& rules);

// A ruleset that allows TCP to connect to `port` only (0: none) and, unless `binds_port`, to bind
// no port. For RestrictSelf in the child. From kLandlockAbiWithPorts. Multipath TCP is not
// restricted from Linux 6.14 on.
[[nodiscard]] Result<UniqueFd> CreatePortRules(std::uint16_t port, bool binds_port);

// Async-signal-safe. Returns false and sets errno on failure.
[[nodiscard]] bool RestrictSelf(int ruleset_fd);

}  // namespace iperf3_exporter
