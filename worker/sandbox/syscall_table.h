// Which system calls the worker and iperf3 may make, and why. Everything that is not here ends
// the process. iperf3 runs under the worker's filter too, so whatever it may do is
// granted to both.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace iperf3_exporter {

// Who may make the call.
enum class Grantee : std::uint8_t {
  kBoth,        // iperf3 needs it, so the worker's filter has it as well
  kWorkerOnly,  // the worker, or its child before the exec
};

// What is looked at besides the number. Each is explained where the filter is built.
enum class Condition : std::uint8_t {
  kNone,
  kCloneFlags,         // threads; the worker also as vfork
  kDuplicateToStdio,   // onto descriptors 0 to 2 only; of the lock's only the lease, onto 0
  kExecveatProgram,    // iperf3's descriptor, the empty path, once
  kFcntlCommand,       // flags; the worker also record locks of the lock's descriptors
  kKillSignal,         // SIGTERM and SIGKILL
  kMapNotBoth,         // never writable and executable, never at or down to a low address; the
                       // lock's files never executable
  kProtectNotExecute,  // never executable, never at a low address
  kNotTheLock,         // no descriptor of the lock's
  kOwnDescriptor,      // nor one that others share: input, output and error
  kOwnGroup,           // setpgid(0, 0)
  kRemapNotFixed,      // never to a chosen address
  kOpenReadOrCreate,   // for reading, or a file that did not exist
  kOwnLimits,          // its own; iperf3 only reads them
  kOwnThread,        // threads of its own process; iperf3's, by the worker's filter, only to cancel
  kParentDeathOnly,  // prctl(PR_SET_PDEATHSIG)
  kSeccompFilterOnly,  // seccomp(SECCOMP_SET_MODE_FILTER)
  kSendNoConnect,      // never TCP Fast Open, which connects
  kSocketAsk,          // options below 64: none that gives a descriptor of another process
  kSocketInternet,     // TCP and UDP over IPv4 and IPv6; else EAFNOSUPPORT
  kThreadPointer,      // arch_prctl(ARCH_SET_FS)
  kUnlinkFile,         // iperf3 only files, the worker folders too
  kAnswersEnosys,      // not executed: ENOSYS
  kAnswersEnotty,      // not executed: ENOTTY
};

struct SyscallGrant {
  std::string_view name;
  Grantee grantee;
  Condition condition;
  std::string_view reason;
};

struct SyscallGroup {
  std::string_view name;
  std::span<const SyscallGrant> grants;  // sorted by name
};

// Sorted by name; no call is in two groups.
[[nodiscard]] std::span<const SyscallGroup> SyscallGroups();

}  // namespace iperf3_exporter
