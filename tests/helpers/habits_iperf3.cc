// A stand-in for another build of iperf3: makes a system call that some C library or other library
// makes although it does not need the result.
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "tests/helpers/stand_in.h"

namespace {

using namespace iperf3_exporter::stand_in;

// Each returns true if it succeeded; errno has the reason otherwise.

bool Readlink() {
  char target[PATH_MAX];
  return ::readlink("/proc/self/exe", target, sizeof target) > 0;
}
bool ReadlinkAt() {
  char target[PATH_MAX];
  return ::readlinkat(AT_FDCWD, "/proc/self/exe", target, sizeof target) > 0;
}
// As perror does.
bool Duplicate() { return ::dup(STDERR_FILENO) >= 0; }
bool Directory() {
  char path[PATH_MAX];
  return ::getcwd(path, sizeof path) != nullptr;
}
bool Terminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool AccessOfLater() { return Call(SYS_faccessat2, AT_FDCWD, Address("/"), R_OK, 0) == 0; }
bool StatOfLater() {
  struct statx status = {};
  return Call(SYS_statx, AT_FDCWD, Address("/"), 0, STATX_MODE, Address(&status)) == 0;
}
#ifdef SYS_stat
bool StatByPath() {
  char status[256];
  return Call(SYS_stat, Address("/"), Address(status)) == 0;
}
bool StatOfLink() {
  char status[256];
  return Call(SYS_lstat, Address("/"), Address(status)) == 0;
}
bool OpenByMusl() { return Call(SYS_open, Address(kLibrary), O_RDONLY) >= 0; }
bool OpenByMuslToWrite() { return Call(SYS_open, Address(kLibrary), O_WRONLY) >= 0; }
#endif
bool Barrier() { return Call(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0) >= 0; }
bool SystemInformation() {
  struct sysinfo information = {};
  return ::sysinfo(&information) == 0;
}
bool PinToProcessor() {
  cpu_set_t processors = {};
  CPU_SET(0, &processors);
  return ::sched_setaffinity(0, sizeof processors, &processors) == 0;
}
bool SignalStack() {
  static char memory[65536];
  const stack_t stack = {.ss_sp = memory, .ss_flags = 0, .ss_size = sizeof memory};
  return ::sigaltstack(&stack, nullptr) == 0;
}
bool WaitForSignal() {
  sigset_t set;
  ::sigemptyset(&set);
  const timespec none = {};
  return ::sigtimedwait(&set, nullptr, &none) >= 0;
}
// As raise does in musl.
bool SignalThread() { return Call(SYS_tkill, ::gettid(), 0) == 0; }
// As the dynamic loader of arm64 does for code that is already executable.
bool MarkBranchTargets() {
  void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::mprotect(page, 4096, PROT_READ | PROT_EXEC | 0x10 /* PROT_BTI */) == 0;
}
// Needed where no vDSO provides them.
bool Clocks() {
  timespec time = {};
  timeval time_of_day = {};
  return Call(SYS_clock_gettime, CLOCK_MONOTONIC, Address(&time)) == 0 &&
         Call(SYS_clock_getres, CLOCK_MONOTONIC, Address(&time)) == 0 &&
         Call(SYS_gettimeofday, Address(&time_of_day)) == 0;
}
bool Sleep() {
  const timespec short_time = {.tv_sec = 0, .tv_nsec = 1000};
  return Call(SYS_nanosleep, Address(&short_time)) == 0;
}
// As stdio of musl does.
bool ReadVector() {
  char byte = 0;
  const iovec part = {&byte, 1};
  return ::readv(::open(kLibrary, O_RDONLY), &part, 1) == 1;
}
// The kernel makes this call for a process that was stopped while it waited.
bool Restart() { return Call(SYS_restart_syscall) == 0; }
bool Identity() {
  return Call(SYS_getuid) == Call(SYS_geteuid) && Call(SYS_getgid) == Call(SYS_getegid);
}
bool Succeed() { return true; }

constexpr Attempt kAttempts[] = {
    {"readlink", Readlink},
    {"readlinkat", ReadlinkAt},
    {"dup", Duplicate},
    {"getcwd", Directory},
    {"isatty", Terminal},
    {"faccessat2", AccessOfLater},
    {"statx", StatOfLater},
#ifdef SYS_stat
    {"stat", StatByPath},
    {"lstat", StatOfLink},
    {"open", OpenByMusl},
    {"open-write", OpenByMuslToWrite},
#endif
    {"membarrier", Barrier},
    {"sysinfo", SystemInformation},
    {"affinity", PinToProcessor},
    {"sigaltstack", SignalStack},
    {"sigtimedwait", WaitForSignal},
    {"tkill", SignalThread},
    {"bti", MarkBranchTargets},
    {"clocks", Clocks},
    {"sleep", Sleep},
    {"readv", ReadVector},
    {"restart", Restart},
    {"identity", Identity},
    {"", Succeed},
};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
