#include "worker/sandbox/syscall_table.h"

#include <array>

namespace iperf3_exporter {
namespace {

using enum Access;

// What a worker could still do with the descriptors of the lock is nothing: the lock itself is a
// FIFO, and the holder table is open for reading only. So the calls that move data need no
// condition. Those that change an open file are denied on descriptors 0 to 2 (seccomp_filter.cc).
constexpr std::array kFiles = {
    SyscallRow{"access", kAllowed, kAllowed, "the loader looks for ld.so.preload"},
    SyscallRow{"close", kAllowed, kAllowed, "every descriptor"},
    SyscallRow{"dup", kFailsWithEperm, kFailsWithEperm, "perror() of iperf3 3.16 after SIGTERM"},
    SyscallRow{"dup3", kToStandardStreams, kDenied,
               "pipes become iperf3's output, the lease its input"},
    SyscallRow{"faccessat", kAllowed, kAllowed, "access where the architecture has no other"},
    SyscallRow{"faccessat2", kFailsWithEnosys, kFailsWithEnosys, "libc falls back to faccessat"},
    SyscallRow{"fcntl", kFlagsAndRecordLocks, kDescriptorFlags, "non-blocking sockets; the lock"},
    SyscallRow{"fstat", kAllowed, kAllowed, "the loader and stdio; whether the lock has a name"},
    SyscallRow{"ftruncate", kAllowed, kAllowed, "size of the stream buffer's file"},
    SyscallRow{"getcwd", kFailsWithEacces, kFailsWithEacces, "realpath() of some libraries"},
    SyscallRow{"getdents64", kAllowed, kDenied, "what iperf3 left in its temporary directory"},
    SyscallRow{"ioctl", kFailsWithEnotty, kFailsWithEnotty, "stdio asks for a terminal"},
    SyscallRow{"lseek", kAllowed, kAllowed, "stdio; start of the temporary directory"},
    SyscallRow{"lstat", kFailsWithEacces, kFailsWithEacces, "realpath() of musl"},
    SyscallRow{"newfstatat", kAllowed, kAllowed, "fstat of glibc 2.33 to 2.38"},
    SyscallRow{"open", kOpenReadOrCreate, kOpenReadOrCreate, "openat of musl"},
    SyscallRow{"openat", kOpenReadOrCreate, kOpenReadOrCreate, "libraries, the stream buffer"},
    SyscallRow{"pipe2", kAllowed, kDenied, "iperf3's output"},
    SyscallRow{"pread64", kAllowed, kAllowed, "the loader reads program headers"},
    SyscallRow{"read", kAllowed, kAllowed, "sockets, pipes, libraries"},
    SyscallRow{"readlink", kFailsWithEacces, kFailsWithEacces,
               "/proc/self/exe, at the start of a static glibc program and for $ORIGIN"},
    SyscallRow{"readlinkat", kFailsWithEacces, kFailsWithEacces,
               "readlink where the architecture has no other"},
    SyscallRow{"readv", kAllowed, kAllowed, "stdio of musl"},
    SyscallRow{"sendfile", kAllowed, kAllowed, "iperf3 --zerocopy"},
    SyscallRow{"stat", kFailsWithEacces, kFailsWithEacces, "realpath() of musl"},
    SyscallRow{"statx", kFailsWithEnosys, kFailsWithEnosys, "libc falls back to newfstatat"},
    SyscallRow{"unlink", kAllowed, kAllowed, "the stream buffer's name"},
    SyscallRow{"unlinkat", kAllowed, kUnlinkFile,
               "unlink where the architecture has no other; the temporary directory"},
    SyscallRow{"write", kAllowed, kAllowed, "sockets, the report, log lines"},
    SyscallRow{"writev", kAllowed, kAllowed, "the loader's error messages; stdio of musl"},
};

constexpr std::array kMemory = {
    SyscallRow{"brk", kAllowed, kAllowed, "malloc"},
    SyscallRow{"madvise", kAllowed, kAllowed, "malloc, stacks of threads, the report's buffer"},
    SyscallRow{"membarrier", kFailsWithEnosys, kFailsWithEnosys, "musl registers at its start"},
    SyscallRow{"mmap", kMapWritableOrExecutable, kMapWritableOrExecutable,
               "libraries, malloc, stacks of threads"},
    SyscallRow{"mprotect", kNoExecutable, kNoExecutable, "read-only relocations, guard pages"},
    SyscallRow{"mremap", kRemapAnywhere, kRemapAnywhere, "realloc of a large report"},
    SyscallRow{"munmap", kAllowed, kAllowed, "malloc, the stream buffer"},
};

constexpr std::array kNetwork = {
    SyscallRow{"bind", kAllowed, kAllowed, "source address and port"},
    SyscallRow{"connect", kAllowed, kAllowed, "the server"},
    SyscallRow{"getpeername", kAllowed, kAllowed, "the report names the peer"},
    SyscallRow{"getsockname", kAllowed, kAllowed, "the report names the source"},
    SyscallRow{"getsockopt", kGetSocketOption, kGetSocketOption, "TCP_INFO, segment size"},
    SyscallRow{"recvfrom", kAllowed, kAllowed, "UDP, --skip-rx-copy; the worker's own socket"},
    SyscallRow{"recvmsg", kAllowed, kAllowed, "UDP with --gsro, from 3.21"},
    SyscallRow{"sendmsg", kNoFastOpen, kNoFastOpen, "UDP with --gsro, from 3.21"},
    SyscallRow{"sendto", kNoFastOpen, kNoFastOpen, "the worker's own socket"},
    SyscallRow{"setsockopt", kSetSocketOption, kSetSocketOption, "buffers, congestion control"},
    SyscallRow{"shutdown", kAllowed, kAllowed, "end of a stream"},
    SyscallRow{"socket", kInternetSocket, kInternetSocket, "control connection and streams"},
};

constexpr std::array kProcess = {
    SyscallRow{"arch_prctl", kThreadPointer, kThreadPointer, "thread-local storage at start"},
    SyscallRow{"clone", kStartThreadsAndIperf3, kStartThreads, "one thread a stream from 3.16"},
    SyscallRow{"clone3", kFailsWithEnosys, kFailsWithEnosys,
               "its flags are in memory, where no filter sees them; libc falls back to clone"},
    SyscallRow{"execveat", kProgramOnce, kProgramOnce, "iperf3"},
    SyscallRow{"exit", kAllowed, kAllowed, "end of a thread"},
    SyscallRow{"exit_group", kAllowed, kAllowed, "end"},
    SyscallRow{"futex", kAllowed, kAllowed, "threads; wakeups of the lock"},
    SyscallRow{"getegid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    SyscallRow{"geteuid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    SyscallRow{"getgid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    SyscallRow{"getpid", kAllowed, kAllowed, "iperf3's cookie; the lock's holder table"},
    SyscallRow{"getppid", kAllowed, kDenied, "whether the parent died before prctl"},
    SyscallRow{"getrandom", kAllowed, kAllowed, "cookie, payload, malloc"},
    SyscallRow{"getrusage", kAllowed, kAllowed, "processor time in the report"},
    SyscallRow{"gettid", kAllowed, kAllowed, "abort; log lines"},
    SyscallRow{"getuid", kAllowed, kAllowed, "libraries ask whether they run set-user-ID"},
    SyscallRow{"pidfd_send_signal", kSignalIperf3, kDenied, "ends iperf3, no other process"},
    SyscallRow{"prctl", kParentDeathSignal, kDenied, "iperf3 dies with its worker"},
    SyscallRow{"prlimit64", kOwnLimits, kReadOwnLimits, "stack size of a thread; iperf3's limits"},
    SyscallRow{"restart_syscall", kAllowed, kAllowed, "a wait that was stopped and continued"},
    SyscallRow{"rseq", kAllowed, kAllowed, "glibc 2.35 and later at start"},
    SyscallRow{"rt_sigaction", kAllowed, kAllowed, "iperf3 catches SIGTERM"},
    SyscallRow{"rt_sigprocmask", kAllowed, kAllowed, "threads, abort"},
    SyscallRow{"rt_sigreturn", kAllowed, kAllowed, "end of a signal handler"},
    SyscallRow{"rt_sigtimedwait", kFailsWithEperm, kFailsWithEperm, "helper threads of libc"},
    SyscallRow{"sched_getaffinity", kAllowed, kAllowed, "malloc counts processors"},
    SyscallRow{"sched_setaffinity", kFailsWithEperm, kFailsWithEperm, "iperf3 --affinity"},
    SyscallRow{"sched_yield", kAllowed, kAllowed, "threads; short waits of the lock"},
    SyscallRow{"set_robust_list", kAllowed, kAllowed, "start of each thread"},
    SyscallRow{"set_tid_address", kAllowed, kAllowed, "start of the process"},
    SyscallRow{"setpgid", kOwnGroup, kDenied, "iperf3's own group"},
    SyscallRow{"sigaltstack", kFailsWithEperm, kFailsWithEperm, "crash handlers of libraries"},
    SyscallRow{"sysinfo", kFailsWithEperm, kFailsWithEperm, "qsort asks for the memory's size"},
    SyscallRow{"tgkill", kSignalItselfOrCancel, kSignalItself, "abort, cancelling a thread"},
    SyscallRow{"tkill", kFailsWithEperm, kFailsWithEperm,
               "raise() of musl; its thread can be of any process"},
    SyscallRow{"uname", kAllowed, kAllowed, "system_info in the report"},
    SyscallRow{"wait4", kAllowed, kDenied, "reaps iperf3"},
    SyscallRow{"waitid", kAllowed, kDenied, "waits for iperf3 without reaping it"},
};

// Each of them can only narrow what its caller may do.
constexpr std::array kSandbox = {
    SyscallRow{"landlock_add_rule", kAllowed, kDenied, "the port of a job"},
    SyscallRow{"landlock_create_ruleset", kAllowed, kDenied, "the port of a job"},
    SyscallRow{"landlock_restrict_self", kAllowed, kDenied, "iperf3 enters it"},
    SyscallRow{"seccomp", kSeccompFilter, kDenied, "iperf3 enters its own filter"},
};

constexpr std::array kTime = {
    SyscallRow{"alarm", kAllowed, kDenied, "the worker's own end after its supervisor's"},
    SyscallRow{"clock_getres", kAllowed, kAllowed, "where the vDSO has no clock"},
    SyscallRow{"clock_gettime", kAllowed, kAllowed, "where the vDSO has no clock"},
    SyscallRow{"clock_nanosleep", kAllowed, kAllowed, "pacing"},
    SyscallRow{"gettimeofday", kAllowed, kAllowed, "where the vDSO has no clock"},
    SyscallRow{"nanosleep", kAllowed, kAllowed, "pacing with older libcs"},
    SyscallRow{"poll", kAllowed, kAllowed, "connect with a timeout; the worker's loop"},
    SyscallRow{"ppoll", kAllowed, kAllowed, "poll where the architecture has no other"},
    SyscallRow{"pselect6", kAllowed, kAllowed, "iperf3's loop"},
    SyscallRow{"select", kAllowed, kAllowed, "iperf3's loop with older libcs"},
    SyscallRow{"setitimer", kAllowed, kDenied, "alarm where the architecture has no other"},
    SyscallRow{"time", kAllowed, kAllowed, "where the vDSO has no clock"},
};

constexpr std::array kGroups = {
    SyscallGroup{"files", kFiles},     SyscallGroup{"memory", kMemory},
    SyscallGroup{"network", kNetwork}, SyscallGroup{"process", kProcess},
    SyscallGroup{"sandbox", kSandbox}, SyscallGroup{"time", kTime},
};

}  // namespace

std::span<const SyscallGroup> SyscallGroups() { return kGroups; }

}  // namespace iperf3_exporter
