#include "worker/sandbox/syscall_table.h"

#include <array>

namespace iperf3_exporter {
namespace {

using enum Grantee;
using enum Condition;

// Descriptors and files. Without a write to an existing file: libraries are read, the
// stream buffer is created, and unlinked at once.
constexpr std::array kFiles = {
    SyscallGrant{"access", kBoth, kNone, "the loader looks for ld.so.preload"},
    SyscallGrant{"close", kBoth, kNone, "every descriptor"},
    SyscallGrant{"dup3", kWorkerOnly, kDuplicateToStdio,
                 "pipes become iperf3's output, the child lease its input"},
    SyscallGrant{"faccessat", kBoth, kNone, "access where the architecture has no other"},
    SyscallGrant{"fcntl", kBoth, kFcntlCommand, "non-blocking sockets; the lock's witness"},
    SyscallGrant{"fstat", kBoth, kNone, "the loader and stdio; whether the lock's file has a link"},
    SyscallGrant{"ftruncate", kBoth, kOwnDescriptor, "size of the stream buffer's file"},
    SyscallGrant{"getdents64", kWorkerOnly, kNone, "what iperf3 left in its temporary folder"},
    SyscallGrant{"ioctl", kBoth, kAnswersEnotty, "stdio asks whether its output is a terminal"},
    SyscallGrant{"lseek", kBoth, kOwnDescriptor, "stdio; start of the temporary folder"},
    SyscallGrant{"newfstatat", kBoth, kNone, "fstat of glibc 2.33 to 2.38"},
    SyscallGrant{"openat", kBoth, kOpenReadOrCreate, "libraries, the stream buffer"},
    SyscallGrant{"pipe2", kWorkerOnly, kNone, "iperf3's output"},
    SyscallGrant{"pread64", kBoth, kNone, "the loader reads program headers"},
    SyscallGrant{"read", kBoth, kNone, "sockets, pipes, libraries"},
    SyscallGrant{"sendfile", kBoth, kNotTheLock, "iperf3 --zerocopy"},
    SyscallGrant{"unlink", kBoth, kNone, "the stream buffer's name"},
    SyscallGrant{"unlinkat", kBoth, kUnlinkFile,
                 "unlink where the architecture has no other; what iperf3 left; the folder"},
    SyscallGrant{"write", kBoth, kNotTheLock, "sockets, the report, log lines"},
    SyscallGrant{"writev", kBoth, kNotTheLock, "the loader's error messages"},
};

constexpr std::array kMemory = {
    SyscallGrant{"brk", kBoth, kNone, "malloc"},
    SyscallGrant{"madvise", kBoth, kNone, "malloc and stacks of threads; the report buffer"},
    SyscallGrant{"mmap", kBoth, kMapNotBoth, "libraries, malloc, stacks of threads"},
    SyscallGrant{"mprotect", kBoth, kProtectNotExecute, "read-only relocations, guard pages"},
    SyscallGrant{"mremap", kBoth, kRemapNotFixed, "realloc of a large report"},
    SyscallGrant{"munmap", kBoth, kNone, "malloc, the stream buffer"},
};

constexpr std::array kNetwork = {
    SyscallGrant{"bind", kBoth, kOwnDescriptor, "source address and port"},
    SyscallGrant{"connect", kBoth, kOwnDescriptor, "the server"},
    SyscallGrant{"getpeername", kBoth, kNone, "the report names the peer"},
    SyscallGrant{"getsockname", kBoth, kNone, "the report names the source"},
    SyscallGrant{"getsockopt", kBoth, kSocketAsk, "TCP_INFO, segment size, congestion control"},
    SyscallGrant{"recvfrom", kBoth, kNone, "UDP; the worker's own socket"},
    SyscallGrant{"sendto", kBoth, kSendNoConnect, "the worker's own socket; UDP of newer iperf3"},
    SyscallGrant{"setsockopt", kBoth, kOwnDescriptor,
                 "buffers, no-delay, marks, congestion control"},
    SyscallGrant{"shutdown", kBoth, kOwnDescriptor, "end of a stream"},
    SyscallGrant{"socket", kBoth, kSocketInternet, "control connection and streams"},
};

constexpr std::array kProcess = {
    SyscallGrant{"arch_prctl", kBoth, kThreadPointer, "thread-local storage at start"},
    SyscallGrant{"clone", kBoth, kCloneFlags, "one thread per stream from 3.16; starts iperf3"},
    SyscallGrant{"clone3", kBoth, kAnswersEnosys,
                 "its flags are in memory; glibc then takes clone"},
    SyscallGrant{"execveat", kBoth, kExecveatProgram, "iperf3, once"},
    SyscallGrant{"exit", kBoth, kNone, "end of a thread"},
    SyscallGrant{"exit_group", kBoth, kNone, "end"},
    SyscallGrant{"futex", kBoth, kNone, "threads; the lock's wakeup"},
    SyscallGrant{"getpid", kBoth, kNone, "iperf3's cookie; the lock's holder table"},
    SyscallGrant{"getppid", kWorkerOnly, kNone, "whether the parent died before its death counted"},
    SyscallGrant{"getrandom", kBoth, kNone, "cookie, payload, malloc"},
    SyscallGrant{"getrusage", kBoth, kNone, "processor time in the report"},
    SyscallGrant{"gettid", kBoth, kNone, "abort; log lines"},
    SyscallGrant{"pidfd_send_signal", kWorkerOnly, kKillSignal, "ends iperf3, no other process"},
    SyscallGrant{"prctl", kWorkerOnly, kParentDeathOnly, "iperf3 dies with its worker"},
    SyscallGrant{"prlimit64", kBoth, kOwnLimits, "size of a thread's stack; iperf3's limits"},
    SyscallGrant{"restart_syscall", kBoth, kNone, "a wait that was stopped and continued"},
    SyscallGrant{"rseq", kBoth, kNone, "glibc 2.35 and later at start"},
    SyscallGrant{"rt_sigaction", kBoth, kNone, "iperf3 catches SIGTERM"},
    SyscallGrant{"rt_sigprocmask", kBoth, kNone, "threads, abort"},
    SyscallGrant{"rt_sigreturn", kBoth, kNone, "end of a signal handler"},
    SyscallGrant{"sched_getaffinity", kBoth, kNone, "malloc counts processors for its arenas"},
    SyscallGrant{"sched_yield", kBoth, kNone, "threads; short waits"},
    SyscallGrant{"set_robust_list", kBoth, kNone, "start of each thread"},
    SyscallGrant{"set_tid_address", kBoth, kNone, "start of the process"},
    SyscallGrant{"setpgid", kWorkerOnly, kOwnGroup, "iperf3's own group"},
    SyscallGrant{"tgkill", kBoth, kOwnThread, "abort, cancelling a thread"},
    SyscallGrant{"uname", kBoth, kNone, "system_info in the report"},
    SyscallGrant{"wait4", kWorkerOnly, kNone, "reaps iperf3"},
    SyscallGrant{"waitid", kWorkerOnly, kNone, "waits for iperf3 without reaping it"},
};

// Each can only narrow what its caller may do.
constexpr std::array kSandbox = {
    SyscallGrant{"landlock_add_rule", kWorkerOnly, kNone, "the port of a job"},
    SyscallGrant{"landlock_create_ruleset", kWorkerOnly, kNone, "the port of a job"},
    SyscallGrant{"landlock_restrict_self", kWorkerOnly, kNone, "iperf3 enters it"},
    SyscallGrant{"seccomp", kWorkerOnly, kSeccompFilterOnly, "iperf3 enters its own filter"},
};

constexpr std::array kTime = {
    SyscallGrant{"alarm", kWorkerOnly, kNone, "the worker's own end after its supervisor's"},
    SyscallGrant{"clock_gettime", kBoth, kNone, "where the vDSO has no clock"},
    SyscallGrant{"clock_nanosleep", kBoth, kNone, "pacing"},
    SyscallGrant{"poll", kBoth, kNone, "connect with a time-out; the worker's loop"},
    SyscallGrant{"ppoll", kBoth, kNone, "poll where the architecture has no other"},
    SyscallGrant{"pselect6", kBoth, kNone, "iperf3's loop"},
    SyscallGrant{"select", kBoth, kNone, "iperf3's loop with older glibc"},
    SyscallGrant{"setitimer", kWorkerOnly, kNone, "alarm where the architecture has no other"},
};

constexpr std::array kGroups = {
    SyscallGroup{"files", kFiles},     SyscallGroup{"memory", kMemory},
    SyscallGroup{"network", kNetwork}, SyscallGroup{"process", kProcess},
    SyscallGroup{"sandbox", kSandbox}, SyscallGroup{"time", kTime},
};

}  // namespace

std::span<const SyscallGroup> SyscallGroups() { return kGroups; }

}  // namespace iperf3_exporter
