#include "worker/sandbox/syscall_table.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "common/cancel_signal.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"
#include "worker/sandbox/socket_options.h"

namespace iperf3_exporter {
namespace {

// Comparisons of argument number `argument`.
constexpr scmp_arg_cmp Is(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
constexpr scmp_arg_cmp AtLeast(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_GE, value, 0};
}
constexpr scmp_arg_cmp AtMost(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_LE, value, 0};
}
constexpr scmp_arg_cmp Masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
// The kernel ignores the upper half of a register that holds an int, and so does this rule.
constexpr scmp_arg_cmp IsInt(unsigned argument, std::int64_t value) {
  return Masked(argument, 0xffffffffU, static_cast<std::uint32_t>(value));
}

template <typename... Comparisons>
constexpr SyscallRule Allow(Comparisons... comparisons) {
  return {SCMP_ACT_ALLOW, sizeof...(comparisons), {comparisons...}};
}
template <typename... Comparisons>
constexpr SyscallRule Fail(unsigned error_number, Comparisons... comparisons) {
  return {SCMP_ACT_ERRNO(error_number), sizeof...(comparisons), {comparisons...}};
}

constexpr std::array<SyscallRule, 0> kDenied{};
// Unconditional, so the kernel can answer from its cache of calls that are always allowed.
constexpr std::array kAllowed = {Allow()};

// The call fails with this error. For calls that programs make routinely and do not need.
constexpr std::array kFailsWithEacces = {Fail(EACCES)};
constexpr std::array kFailsWithEnosys = {Fail(ENOSYS)};
constexpr std::array kFailsWithEnotty = {Fail(ENOTTY)};
constexpr std::array kFailsWithEperm = {Fail(EPERM)};

// fcntl
constexpr std::array kDescriptorFlags = {Allow(IsInt(1, F_GETFD)), Allow(IsInt(1, F_SETFD)),
                                         Allow(IsInt(1, F_GETFL)), Allow(IsInt(1, F_SETFL))};

// fcntl: also record locks on the lock's descriptors, from kLowestLockFd to below kProgramFd.
constexpr std::uint64_t kLockFdsMask = 0xffffff00;
static_assert(kLowestLockFd == 0x300 && kProgramFd < 0x400);
constexpr std::array kFlagsAndRecordLocks = {
    Allow(Masked(0, kLockFdsMask, kLowestLockFd), IsInt(1, F_OFD_GETLK)),
    Allow(Masked(0, kLockFdsMask, kLowestLockFd), IsInt(1, F_OFD_SETLK)),
    Allow(IsInt(1, F_GETFD)),
    Allow(IsInt(1, F_SETFD)),
    Allow(IsInt(1, F_GETFL)),
    Allow(IsInt(1, F_SETFL))};

// open, openat: reading a file, or creating one that does not exist.
template <unsigned kFlags>
constexpr std::array kOpenReadOrCreate = {
    Allow(Masked(kFlags, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)),
    Allow(Masked(kFlags, O_ACCMODE | O_CREAT | O_EXCL, O_RDWR | O_CREAT | O_EXCL))};

// dup3
constexpr std::array kToStandardStreams = {Allow(AtMost(1, STDERR_FILENO))};

// unlinkat: no directories.
constexpr std::array kUnlinkFile = {Allow(IsInt(2, 0))};

// mmap: at an address chosen by the kernel, or a fixed one above the page of the exec path. No
// MAP_GROWSDOWN: such a mapping could grow down to that page. Protection and flags are checked
// in seccomp_filter.cc.
constexpr std::array kMapAboveExecPath = {
    Allow(Is(0, 0), Masked(3, MAP_GROWSDOWN | MAP_FIXED | MAP_FIXED_NOREPLACE, 0)),
    Allow(AtLeast(0, kLowestMapAddress), Masked(3, MAP_GROWSDOWN, 0))};

// mprotect: nothing becomes executable, nothing changes at a low address. PROT_BTI: the
// loader of arm64 protects code that is already executable again, and tolerates EACCES.
constexpr std::uint64_t kProtBti = 0x10;
constexpr std::array kNoExecutable = {
    Fail(EACCES, Masked(2, PROT_EXEC | kProtBti, PROT_EXEC | kProtBti)),
    Allow(AtLeast(0, kLowestMapAddress), Masked(2, PROT_EXEC, 0))};

// mremap: to an address that the kernel chooses.
constexpr std::array kRemapKernelChosen = {Allow(Is(3, 0)), Allow(Is(3, MREMAP_MAYMOVE))};

// sendto, sendmsg: no MSG_FASTOPEN. It connects, and Landlock's port rules don't cover that.
template <unsigned kFlags>
constexpr std::array kNoFastOpen = {Allow(Masked(kFlags, MSG_FASTOPEN, 0))};

constexpr bool Permits(const SocketOption& row, OptionUse use) {
  return row.use == use || row.use == OptionUse::kBoth;
}

// getsockopt, setsockopt: what socket_options.h lists.
template <OptionUse kUse>
constexpr auto kSocketOption = [] {
  constexpr auto kSize = std::ranges::count_if(
      kSocketOptions, [](const SocketOption& row) { return Permits(row, kUse); });
  std::array<SyscallRule, kSize> rules{};
  auto* next = rules.data();
  for (const SocketOption& row : kSocketOptions) {
    if (Permits(row, kUse)) *next++ = Allow(IsInt(1, row.level), IsInt(2, row.option));
  }
  return rules;
}();

// socket: TCP and UDP over IPv4 and IPv6, and MPTCP if the job requests it. Families below AF_INET
// or above AF_INET6 fail with EAFNOSUPPORT. Anything else ends the process. AF_INET and AF_INET6
// differ in one bit.
constexpr SyscallRule AllowSocket(std::uint64_t type, std::uint32_t protocol) {
  static_assert(AF_INET == 2 && AF_INET6 == 10);
  constexpr std::uint64_t kFamilyMask = 0xffffffffU & ~(AF_INET ^ AF_INET6);
  constexpr std::uint64_t kTypeMask = 0xf;  // the rest of the argument is flags
  return Allow(Masked(0, kFamilyMask, AF_INET), Masked(1, kTypeMask, type), IsInt(2, protocol));
}
constexpr std::array kInternetSocket = {
    AllowSocket(SOCK_STREAM, 0),
    AllowSocket(SOCK_STREAM, IPPROTO_TCP),
    AllowSocket(SOCK_STREAM, kMultipathPlaceholder),
    AllowSocket(SOCK_DGRAM, 0),
    AllowSocket(SOCK_DGRAM, IPPROTO_UDP),
    Fail(EAFNOSUPPORT, scmp_arg_cmp{0, SCMP_CMP_LT, AF_INET, 0}),
    Fail(EAFNOSUPPORT, scmp_arg_cmp{0, SCMP_CMP_GT, AF_INET6, 0})};

// arch_prctl (asm/prctl.h). At its start glibc asks whether shadow stacks are on, with one of two
// codes.
constexpr int kArchSetFs = 0x1002;
constexpr int kArchCetStatus = 0x3001;
constexpr int kArchShadowStackStatus = 0x5005;
constexpr std::array kThreadPointer = {Fail(EINVAL, IsInt(0, kArchCetStatus)),
                                       Fail(EINVAL, IsInt(0, kArchShadowStackStatus)),
                                       Allow(IsInt(0, kArchSetFs))};

// clone: the exact flags of pthread_create in glibc; musl adds CLONE_DETACHED, which does nothing.
constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                       CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
constexpr std::array kStartThreads = {Allow(Is(0, kThreadFlags)),
                                      Allow(Is(0, kThreadFlags | CLONE_DETACHED))};
constexpr std::array kStartThreadsAndIperf3 = {
    Allow(Is(0, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD)), kStartThreads[0],
    kStartThreads[1]};

// execveat: the descriptor of iperf3, with the empty path; only once, see kExecPathAddress.
constexpr std::array kExecIperf3 = {
    Allow(IsInt(0, kProgramFd), Is(1, kExecPathAddress), IsInt(4, AT_EMPTY_PATH))};

// pidfd_send_signal
constexpr std::array kSignalIperf3 = {Allow(IsInt(1, SIGTERM)), Allow(IsInt(1, SIGKILL))};

// tgkill: any signal to a thread of this process.
constexpr std::array kSignalItself = {Allow(IsInt(0, kOwnPidPlaceholder))};

// tgkill, in the worker's filter. It applies to iperf3 too, and is installed before iperf3's pid is
// known: so the cancel signal is allowed to any thread (our processes ignore it), and a SIGABRT to
// another process fails instead of ending the caller. abort() exits nevertheless.
constexpr std::array kSignalItselfOrCancel = {Allow(IsInt(2, kCancelSignal)),
                                              Fail(EPERM, IsInt(2, SIGABRT)), kSignalItself[0]};

constexpr std::array kParentDeathSignal = {Allow(IsInt(0, PR_SET_PDEATHSIG), Is(1, SIGKILL))};

// prlimit64
constexpr std::array kOwnLimits = {Allow(IsInt(0, 0))};
constexpr std::array kReadOwnLimits = {Allow(IsInt(0, 0), Is(2, 0))};

// seccomp
constexpr std::array kInstallFilter = {Allow(IsInt(0, SECCOMP_SET_MODE_FILTER))};

// setpgid: only a new group of its own. In another group it would receive that group's signals.
constexpr std::array kOwnGroup = {Allow(IsInt(0, 0), IsInt(1, 0))};

// getpriority, setpriority: only of the caller.
constexpr std::array kOwnPriority = {Allow(IsInt(0, PRIO_PROCESS), IsInt(1, 0))};

// The calls that move data need no condition, because they can't harm the lock's files: the lock is
// a FIFO, and the holder table is open read-only. Calls that change an open file are denied on
// descriptors 0 to 2 (seccomp_filter.cc).
constexpr SyscallRow kFiles[] = {
    {"access", kAllowed, kAllowed, "the loader looks for ld.so.preload"},
    {"close", kAllowed, kAllowed, "every descriptor"},
    {"dup", kFailsWithEperm, kFailsWithEperm, "perror() of iperf3 3.16 after SIGTERM"},
    {"dup3", kToStandardStreams, kDenied,
     "pipes become iperf3's output, the lock's lease its input"},
    {"faccessat", kAllowed, kAllowed, "architectures without access"},
    {"faccessat2", kFailsWithEnosys, kFailsWithEnosys, "libc falls back to faccessat"},
    {"fcntl", kFlagsAndRecordLocks, kDescriptorFlags, "non-blocking sockets; the lock"},
    {"fstat", kAllowed, kAllowed, "the loader and stdio; whether the lock's file is still linked"},
    {"ftruncate", kAllowed, kAllowed, "size of the stream buffer's file"},
    {"getcwd", kFailsWithEacces, kFailsWithEacces, "realpath() of some libraries"},
    {"getdents64", kAllowed, kDenied, "what iperf3 left in its temporary directory"},
    {"ioctl", kFailsWithEnotty, kFailsWithEnotty, "stdio asks for a terminal"},
    {"lseek", kAllowed, kAllowed, "stdio; start of the temporary directory"},
    {"lstat", kFailsWithEacces, kFailsWithEacces, "realpath() of musl"},
    {"newfstatat", kAllowed, kAllowed, "fstat of glibc 2.33 to 2.38"},
    {"open", kOpenReadOrCreate<1>, kOpenReadOrCreate<1>, "openat of musl"},
    {"openat", kOpenReadOrCreate<2>, kOpenReadOrCreate<2>, "libraries, the stream buffer"},
    {"pipe2", kAllowed, kDenied, "iperf3's output"},
    {"pread64", kAllowed, kAllowed, "the loader reads program headers"},
    {"read", kAllowed, kAllowed, "sockets, pipes, libraries"},
    {"readlink", kFailsWithEacces, kFailsWithEacces,
     "/proc/self/exe, at the start of a static glibc program and for $ORIGIN"},
    {"readlinkat", kFailsWithEacces, kFailsWithEacces, "architectures without readlink"},
    {"readv", kAllowed, kAllowed, "stdio of musl"},
    {"sendfile", kAllowed, kAllowed, "iperf3 --zerocopy"},
    {"stat", kFailsWithEacces, kFailsWithEacces, "realpath() of musl"},
    {"statx", kFailsWithEnosys, kFailsWithEnosys, "libc falls back to newfstatat"},
    {"unlink", kAllowed, kAllowed, "the stream buffer's name"},
    {"unlinkat", kAllowed, kUnlinkFile, "architectures without unlink; the temporary directory"},
    {"write", kAllowed, kAllowed, "sockets, the report, log lines"},
    {"writev", kAllowed, kAllowed, "the loader's error messages; stdio of musl"},
};

constexpr SyscallRow kMemory[] = {
    {"brk", kAllowed, kAllowed, "malloc"},
    {"madvise", kAllowed, kAllowed, "malloc, stacks of threads, the report's buffer"},
    {"membarrier", kFailsWithEnosys, kFailsWithEnosys, "musl registers at its start"},
    {"mmap", kMapAboveExecPath, kMapAboveExecPath, "libraries, malloc, stacks of threads"},
    {"mprotect", kNoExecutable, kNoExecutable, "read-only relocations, guard pages"},
    {"mremap", kRemapKernelChosen, kRemapKernelChosen, "realloc of a large report"},
    {"munmap", kAllowed, kAllowed, "malloc, the stream buffer"},
};

constexpr SyscallRow kNetwork[] = {
    {"bind", kAllowed, kAllowed, "source address and port"},
    {"connect", kAllowed, kAllowed, "the server"},
    {"getpeername", kAllowed, kAllowed, "the report names the peer"},
    {"getsockname", kAllowed, kAllowed, "the report names the source"},
    {"getsockopt", kSocketOption<OptionUse::kGet>, kSocketOption<OptionUse::kGet>,
     "TCP_INFO, segment size"},
    {"recvfrom", kAllowed, kAllowed,
     "UDP; TCP with --skip-rx-copy; the worker's socket to the supervisor"},
    {"recvmsg", kAllowed, kAllowed, "UDP with --gsro, from 3.21"},
    {"sendmsg", kNoFastOpen<2>, kNoFastOpen<2>, "UDP with --gsro, from 3.21"},
    {"sendto", kNoFastOpen<3>, kNoFastOpen<3>, "the worker's socket to the supervisor"},
    {"setsockopt", kSocketOption<OptionUse::kSet>, kSocketOption<OptionUse::kSet>,
     "buffers, congestion control"},
    {"shutdown", kAllowed, kAllowed, "end of a stream"},
    {"socket", kInternetSocket, kInternetSocket, "control connection and streams"},
};

constexpr SyscallRow kProcess[] = {
    {"arch_prctl", kThreadPointer, kThreadPointer, "thread-local storage at start"},
    {"clone", kStartThreadsAndIperf3, kStartThreads, "one thread per stream since 3.16"},
    {"clone3", kFailsWithEnosys, kFailsWithEnosys,
     "its flags are in memory, where no filter sees them; libc falls back to clone"},
    {"execveat", kExecIperf3, kExecIperf3, "iperf3"},
    {"exit", kAllowed, kAllowed, "end of a thread"},
    {"exit_group", kAllowed, kAllowed, "end of the process"},
    {"futex", kAllowed, kAllowed, "threads; wakeups of the lock"},
    {"getegid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    {"geteuid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    {"getgid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    {"getpid", kAllowed, kAllowed, "iperf3's cookie; the lock's holder table"},
    {"getppid", kAllowed, kDenied, "whether the parent died before prctl"},
    {"getpriority", kOwnPriority, kDenied, "iperf3 runs below its worker"},
    {"getrandom", kAllowed, kAllowed, "cookie, payload, malloc"},
    {"getrusage", kAllowed, kAllowed, "processor time in the report"},
    {"gettid", kAllowed, kAllowed, "abort; log lines"},
    {"getuid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    {"pidfd_send_signal", kSignalIperf3, kDenied, "ends iperf3, no other process"},
    {"prctl", kParentDeathSignal, kDenied, "iperf3 dies with its worker"},
    {"prlimit64", kOwnLimits, kReadOwnLimits, "stack size of a thread; iperf3's limits"},
    {"restart_syscall", kAllowed, kAllowed, "a wait interrupted by SIGSTOP and SIGCONT"},
    {"rseq", kAllowed, kAllowed, "glibc 2.35 and later at start"},
    {"rt_sigaction", kAllowed, kAllowed, "iperf3 catches SIGTERM"},
    {"rt_sigprocmask", kAllowed, kAllowed, "threads, abort"},
    {"rt_sigreturn", kAllowed, kAllowed, "end of a signal handler"},
    {"rt_sigtimedwait", kFailsWithEperm, kFailsWithEperm, "helper threads of libc"},
    {"sched_getaffinity", kAllowed, kAllowed, "malloc counts processors"},
    {"sched_setaffinity", kFailsWithEperm, kFailsWithEperm, "iperf3 --affinity"},
    {"sched_yield", kAllowed, kAllowed, "threads; short waits of the lock"},
    {"set_robust_list", kAllowed, kAllowed, "start of each thread"},
    {"set_tid_address", kAllowed, kAllowed, "start of the process"},
    {"setpgid", kOwnGroup, kDenied, "iperf3's own group"},
    {"setpriority", kOwnPriority, kDenied, "iperf3 runs below its worker"},
    {"sigaltstack", kFailsWithEperm, kFailsWithEperm, "crash handlers of libraries"},
    {"sysinfo", kFailsWithEperm, kFailsWithEperm, "qsort asks how much memory there is"},
    {"tgkill", kSignalItselfOrCancel, kSignalItself, "abort, cancelling a thread"},
    {"tkill", kFailsWithEperm, kFailsWithEperm,
     "raise() of musl; it can reach a thread of any process"},
    {"uname", kAllowed, kAllowed, "system_info in the report"},
    {"wait4", kAllowed, kDenied, "reaps iperf3"},
    {"waitid", kAllowed, kDenied, "waits for iperf3 without reaping it"},
};

// Each of them can only restrict its caller.
constexpr SyscallRow kSandbox[] = {
    {"landlock_add_rule", kAllowed, kDenied, "the port of a job"},
    {"landlock_create_ruleset", kAllowed, kDenied, "the port of a job"},
    {"landlock_restrict_self", kAllowed, kDenied, "restricts iperf3 before its exec"},
    {"seccomp", kInstallFilter, kDenied, "installs iperf3's filter before its exec"},
};

constexpr SyscallRow kTime[] = {
    {"alarm", kAllowed, kDenied, "ends the worker soon after its supervisor died"},
    {"clock_getres", kAllowed, kAllowed, "where the vDSO has no clock"},
    {"clock_gettime", kAllowed, kAllowed, "where the vDSO has no clock"},
    {"clock_nanosleep", kAllowed, kAllowed, "pacing"},
    {"gettimeofday", kAllowed, kAllowed, "where the vDSO has no clock"},
    {"nanosleep", kAllowed, kAllowed, "pacing with older libcs"},
    {"poll", kAllowed, kAllowed, "connect with a timeout; the worker's loop"},
    {"ppoll", kAllowed, kAllowed, "architectures without poll"},
    {"pselect6", kAllowed, kAllowed, "iperf3's loop"},
    {"select", kAllowed, kAllowed, "iperf3's loop with older libcs"},
    {"setitimer", kAllowed, kDenied, "architectures without alarm"},
    {"time", kAllowed, kAllowed, "where the vDSO has no clock"},
};

constexpr SyscallGroup kGroups[] = {
    {"files", kFiles},     {"memory", kMemory},   {"network", kNetwork},
    {"process", kProcess}, {"sandbox", kSandbox}, {"time", kTime},
};

}  // namespace

std::span<const SyscallGroup> SyscallGroups() { return kGroups; }

}  // namespace iperf3_exporter
