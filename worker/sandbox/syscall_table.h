// Which system calls the worker and iperf3 may make, and why. A call that is not in the table ends
// the process.
//
// Each subject has a filter of its own. iperf3 runs under both, so what iperf3 may do the worker
// may do too.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace iperf3_exporter {

enum class Subject : std::uint8_t { kWorker, kIperf3 };

// What a subject may do with a call.
enum class Access : std::uint8_t {
  kDenied,   // ends the process
  kAllowed,  // without a condition: the kernel answers from its cache of allowed calls

  // Not executed, but answered with an error. For what a libc asks out of habit and can do without.
  kFailsWithEacces,
  kFailsWithEnosys,
  kFailsWithEnotty,
  kFailsWithEperm,

  // Executed under a condition. Another argument ends the process.
  kDescriptorFlags,      // fcntl: read and set flags
  kFlagsAndRecordLocks,  // fcntl: also record locks on the lock's descriptors
  kGetSocketOption,      // getsockopt: what socket_options.h lists
  kSetSocketOption,      // setsockopt: what socket_options.h lists
  kInternetSocket,       // socket: TCP and UDP over IPv4 and IPv6; other families get EAFNOSUPPORT
  kMapWritableOrExecutable,  // mmap: never both, never at a low address, no socket
  kNoExecutable,             // mprotect: nothing becomes executable, nothing at a low address
  kNoFastOpen,               // sendto, sendmsg: no MSG_FASTOPEN, which connects past Landlock
  kOpenReadOrCreate,         // open, openat: read a file, or create one that does not exist
  kOwnLimits,                // prlimit64: of this process
  kParentDeathSignal,        // prctl: PR_SET_PDEATHSIG to SIGKILL
  kProgramOnce,              // execveat: the descriptor of iperf3, with the empty path
  kReadOwnLimits,            // prlimit64: of this process, reading only
  kRemapAnywhere,            // mremap: to an address that the kernel chooses
  kSeccompFilter,            // seccomp: install a filter
  kSignalItself,             // tgkill: any signal to a thread of this process
  kSignalItselfOrCancel,     // tgkill: also the cancel signal to any thread; SIGABRT gets EPERM
  kSignalIperf3,             // pidfd_send_signal: SIGTERM, SIGKILL
  kStartThreads,             // clone: threads only
  kStartThreadsAndIperf3,    // clone: also as vfork
  kToStandardStreams,        // dup3: onto descriptors 0 to 2
  kUnlinkFile,               // unlinkat: files, no directories
  kOwnGroup,                 // setpgid: a new group of its own
  kThreadPointer,            // arch_prctl: ARCH_SET_FS; questions about shadow stacks get EINVAL
};

struct SyscallRow {
  std::string_view name;  // an architecture that lacks the call has no rule for it
  Access worker;
  Access iperf3;
  std::string_view reason;

  [[nodiscard]] constexpr Access AccessOf(Subject subject) const {
    return subject == Subject::kWorker ? worker : iperf3;
  }
};

struct SyscallGroup {
  std::string_view name;
  std::span<const SyscallRow> rows;  // sorted by name
};

// The calls that iperf3 makes for each block of data. They have no condition, for either subject.
inline constexpr std::array kDataPathCalls = {
    "write",    "read",    "pselect6", "select", "poll",          "ppoll",
    "recvfrom", "recvmsg", "sendfile", "futex",  "clock_gettime", "clock_nanosleep"};

// Sorted by name; no call is in two groups.
[[nodiscard]] std::span<const SyscallGroup> SyscallGroups();

}  // namespace iperf3_exporter
