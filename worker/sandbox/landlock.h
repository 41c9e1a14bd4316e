// Landlock, by raw system calls: which files may be touched, which TCP port connected to. The
// constants are ours, because a build machine's headers may be older than the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {

// What is allowed beneath a file or folder.
enum class FileAccess : std::uint8_t {
  kRead,            // files beneath it
  kExecute,         // and read
  kTemporaryFiles,  // create, read, write and remove files in it
  kRemoveFolder,    // empty folders in it
};

struct FileRule {
  int fd = -1;  // borrowed
  FileAccess access = FileAccess::kRead;
};

// The kernel's Landlock version; 0 when it has none or an outer filter hides it.
[[nodiscard]] int LandlockAbi();

// From this version TCP ports can be restricted.
inline constexpr int kLandlockAbiWithPorts = 4;

// From now on this process and its children can touch only the files named, and, from
// version 6, signal only each other and connect to no abstract socket of others. Cannot be undone.
// Needs no-new-privileges.
[[nodiscard]] Status EnterFileRules(int abi, const std::vector<FileRule>& rules);

// A ruleset that lets TCP connect to `port` only (0: none) and, unless `binds_port`, bind no TCP
// port; for landlock_restrict_self in the child. Only from kLandlockAbiWithPorts.
[[nodiscard]] Result<UniqueFd> CreatePortRules(std::uint16_t port, bool binds_port);

// Async-signal-safe. Gives whether it succeeded; errno tells why not.
[[nodiscard]] bool RestrictSelf(int ruleset_fd);

}  // namespace iperf3_exporter
