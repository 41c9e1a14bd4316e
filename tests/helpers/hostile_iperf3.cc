// A stand-in for a compromised iperf3: attempts one forbidden action, or its permitted counterpart.
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "tests/helpers/stand_in.h"

namespace {

using namespace iperf3_exporter::stand_in;

// Where the worker places iperf3's descriptor and the path for its exec (worker/sandbox).
constexpr int kProgramFd = 1000;
constexpr std::uintptr_t kExecPathAddress = 0x100000;

void* At(std::uintptr_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a chosen address
  return reinterpret_cast<void*>(address);
}

char* g_argv[] = {nullptr, nullptr};
char g_true[] = "/bin/true";

// Each returns true if it succeeded; errno has the reason otherwise.

bool Execve() { return Call(SYS_execve, Address(g_true), Address(g_argv), 0) == 0; }
bool ExecveatPath() {
  return Call(SYS_execveat, AT_FDCWD, Address(g_true), Address(g_argv), 0, 0) == 0;
}
bool ExecveatAbsolute() {
  return Call(SYS_execveat, kProgramFd, Address(g_true), Address(g_argv), 0, AT_EMPTY_PATH) == 0;
}
bool ExecveatAgain() {
  return Call(SYS_execveat, kProgramFd, kExecPathAddress, Address(g_argv), 0, AT_EMPTY_PATH) == 0;
}
bool ExecveatOther() {
  const int fd = ::open(kLibrary, O_RDONLY);
  return Call(SYS_execveat, fd, kExecPathAddress, Address(g_argv), 0, AT_EMPTY_PATH) == 0;
}
bool MapLow(int flags) {
  return ::mmap(At(kExecPathAddress), 4096, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0) != MAP_FAILED;
}
bool MapExecPath() { return MapLow(MAP_FIXED); }
bool MapExecPathByHint() { return MapLow(0); }
bool RemapToExecPath() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return ::mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, At(kExecPathAddress)) !=
         MAP_FAILED;
}
bool MapFromZero() {
  return ::mmap(nullptr, 2 * kExecPathAddress, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}
// Unmaps the pages above, so that the stack limit is not reached.
bool GrowDownToExecPath() {
  constexpr std::uintptr_t kStart = 0x400000;
  void* wanted = At(kStart);
  void* page = ::mmap(wanted, 65536, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
  if (page != wanted) return false;
  for (std::uintptr_t at = kStart; at >= kExecPathAddress; at -= 4096) {
    *static_cast<volatile char*>(At(at)) = 1;
    ::munmap(At(at + 4096), kStart + 65536 - at - 4096);
  }
  return true;
}
#ifdef __x86_64__
bool MapVdsoToExecPath() {
  return Call(SYS_arch_prctl, 0x2003 /* ARCH_MAP_VDSO_64 */, kExecPathAddress) >= 0;
}
long g_answer[3];
bool AskShadowStack() { return Call(SYS_arch_prctl, 0x5005, Address(g_answer)) == 0; }
bool AskCet() { return Call(SYS_arch_prctl, 0x3001, Address(g_answer)) == 0; }

bool Fork() { return Call(SYS_fork) >= 0; }
bool OldCall() {
  // The 32-bit system call table, if the kernel has one.
  long result = 20;  // getpid there
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  return result > 0;
}
bool X32Call() { return Call(0x40000000L | SYS_getpid) > 0; }
#endif
bool Vfork() {
  const pid_t pid = ::vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork): the attack
  if (pid == 0) ::_exit(0);
  return pid > 0;
}
bool CloneProcess() { return Call(SYS_clone, SIGCHLD) >= 0; }
bool CloneVfork() { return Call(SYS_clone, CLONE_VFORK | CLONE_VM | SIGCHLD) >= 0; }
int EndAtOnce(void*) { ::_exit(0); }
// As the worker starts iperf3; the filter of the worker allows it.
bool CloneAsWorker() {
  alignas(16) static char stack[16384];
  int pidfd = -1;
  return ::clone(EndAtOnce, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                 nullptr, &pidfd) >= 0;
}
bool Clone3() {
  clone_args arguments = {};
  arguments.exit_signal = SIGCHLD;
  const long pid = Call(SYS_clone3, Address(&arguments), sizeof arguments);
  if (pid == 0) ::_exit(0);
  return pid > 0;
}
bool RunInThread(void* (*act)(void*)) {
  pthread_t thread = {};
  const int error = ::pthread_create(&thread, nullptr, act, nullptr);
  errno = error;
  return error == 0 && ::pthread_join(thread, nullptr) == 0;
}
void* Nothing(void*) { return nullptr; }
bool Thread() { return RunInThread(Nothing); }

void* PollForEver(void*) {
  for (;;) ::poll(nullptr, 0, -1);
}
// As iperf3 terminates its streams.
bool CancelThread() {
  pthread_t thread = {};
  void* result = nullptr;
  return ::pthread_create(&thread, nullptr, PollForEver, nullptr) == 0 &&
         ::pthread_cancel(thread) == 0 && ::pthread_join(thread, &result) == 0 &&
         result == PTHREAD_CANCELED;
}
bool Abort() { std::abort(); }

pid_t Worker() { return g_targets.worker; }
bool Ptrace() { return Call(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, Worker()) == 0; }
bool ReadWorker() {
  iovec part = {g_true, 1};
  return ::process_vm_readv(Worker(), &part, 1, &part, 1, 0) > 0;
}
bool WriteWorker() {
  iovec part = {g_true, 1};
  return ::process_vm_writev(Worker(), &part, 1, &part, 1, 0) > 0;
}
bool LimitWorker() {
  rlimit limit = {};
  return ::prlimit(Worker(), RLIMIT_NOFILE, nullptr, &limit) == 0;
}
bool KillOther() { return ::kill(Worker(), SIGTERM) == 0; }
bool KillEverybody() { return ::kill(-1, SIGTERM) == 0; }
bool ThreadKillOther() { return Call(SYS_tgkill, Worker(), Worker(), SIGTERM) == 0; }
bool ThreadCancelOther() { return Call(SYS_tgkill, Worker(), Worker(), 32) == 0; }
bool ThreadKillSelf() { return Call(SYS_tgkill, ::getpid(), ::gettid(), SIGTERM) == 0; }
bool QueueSignal() { return Call(SYS_rt_sigqueueinfo, Worker(), SIGTERM, 0) == 0; }
bool Pidfd() { return Call(SYS_pidfd_open, Worker(), 0) >= 0; }
bool PidfdGetfd() { return Call(SYS_pidfd_getfd, 3, 3, 0) >= 0; }

bool MapFile(int protection) {
  const int fd = ::open(kLibrary, O_RDONLY);
  return ::mmap(nullptr, 4096, protection, MAP_PRIVATE, fd, 0) != MAP_FAILED;
}
bool MapExecutableFile() { return MapFile(PROT_READ | PROT_EXEC); }
bool MapWritableExecutableFile() { return MapFile(PROT_READ | PROT_WRITE | PROT_EXEC); }

void* Map(int protection) {
  return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
bool MapWritableExecutable() { return Map(PROT_READ | PROT_WRITE | PROT_EXEC) != MAP_FAILED; }
bool MakeExecutable() {
  return ::mprotect(Map(PROT_READ | PROT_WRITE), 4096, PROT_READ | PROT_EXEC) == 0;
}
bool MakeReadOnly() { return ::mprotect(Map(PROT_READ | PROT_WRITE), 4096, PROT_READ) == 0; }
bool MemoryFile() { return Call(SYS_memfd_create, Address("x"), 0) >= 0; }
void* CreateMemoryFile(void*) {
  MemoryFile();
  return nullptr;
}
// The call ends the whole process, not only the thread that makes it.
bool MemoryFileOfThread() { return RunInThread(CreateMemoryFile); }

bool Duplicate() { return ::dup(1) >= 0; }
bool DuplicateHigh() { return Call(SYS_dup3, 1, kProgramFd, 0) >= 0; }
bool DuplicateByFcntl() { return ::fcntl(1, F_DUPFD, 100) >= 100; }
bool SetOwner() { return ::fcntl(1, F_SETOWN, ::getpid()) == 0; }
bool GetFlags() { return ::fcntl(1, F_GETFL) >= 0; }
bool Ioctl() {
  int waiting = 0;
  return ::ioctl(::socket(AF_INET, SOCK_DGRAM, 0), FIONREAD, &waiting) == 0;
}

bool SetLimit() {
  const rlimit limit = {100, 100};
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}
bool GetLimit() {
  rlimit limit = {};
  return ::getrlimit(RLIMIT_STACK, &limit) == 0;
}
bool SetUid() { return Call(SYS_setuid, 0) == 0; }
bool Mount() { return Call(SYS_mount, 0, Address("/tmp"), Address("tmpfs"), 0, 0) == 0; }
bool Unshare() { return Call(SYS_unshare, CLONE_NEWUSER) == 0; }
bool SetNs() { return Call(SYS_setns, 0, 0) == 0; }
bool Chroot() { return Call(SYS_chroot, Address("/tmp")) == 0; }
bool IoUring() { return Call(SYS_io_uring_setup, 1, 0) >= 0; }
bool Userfaultfd() { return Call(SYS_userfaultfd, 0) >= 0; }
bool Bpf() { return Call(SYS_bpf, 0, 0, 0) >= 0; }
bool Keyctl() { return Call(SYS_keyctl, 0, 0, 0) >= 0; }
bool AddKey() { return Call(SYS_add_key, 0, 0, 0) >= 0; }
bool PerfEvent() { return Call(SYS_perf_event_open, 0, 0, 0) >= 0; }
bool Prctl() { return Call(SYS_prctl, PR_SET_DUMPABLE, 1) == 0; }
bool Seccomp() { return Call(SYS_seccomp, 1, 0, 0) == 0; }
bool Landlock() { return Call(SYS_landlock_create_ruleset, 0, 0, 1) >= 0; }
bool Personality() { return Call(SYS_personality, 0x0400000) >= 0; }
bool Reboot() { return Call(SYS_reboot, 0, 0, 0, 0) == 0; }
bool Uname() {
  utsname name = {};
  return ::uname(&name) == 0;
}
bool Succeed() { return true; }

// Waits to be terminated, so that the test can inspect the process.
bool Wait() {
  ::poll(nullptr, 0, -1);
  return false;
}

constexpr Attempt kAttempts[] = {
    {"execve", Execve},
    {"execveat-path", ExecveatPath},
    {"execveat-abs", ExecveatAbsolute},
    {"execveat-again", ExecveatAgain},
    {"execveat-other", ExecveatOther},
    {"map-path", MapExecPath},
    {"map-path-hint", MapExecPathByHint},
    {"remap-path", RemapToExecPath},
    {"grow-to-path", GrowDownToExecPath},
    {"map-zero", MapFromZero},
#ifdef __x86_64__
    {"map-vdso", MapVdsoToExecPath},
    {"ask-shadow", AskShadowStack},
    {"ask-cet", AskCet},
    {"fork", Fork},
    {"int80", OldCall},
    {"x32", X32Call},
#endif
    {"vfork", Vfork},
    {"clone", CloneProcess},
    {"clone-vfork", CloneVfork},
    {"clone-as-worker", CloneAsWorker},
    {"clone3", Clone3},
    {"thread", Thread},
    {"ptrace", Ptrace},
    {"read-worker", ReadWorker},
    {"write-worker", WriteWorker},
    {"limit-worker", LimitWorker},
    {"kill", KillOther},
    {"kill-all", KillEverybody},
    {"tgkill", ThreadKillOther},
    {"tgkill-cancel", ThreadCancelOther},
    {"tgkill-self", ThreadKillSelf},
    {"cancel-thread", CancelThread},
    {"abort", Abort},
    {"sigqueue", QueueSignal},
    {"pidfd", Pidfd},
    {"pidfd-getfd", PidfdGetfd},
    {"map-library", MapExecutableFile},
    {"map-library-wx", MapWritableExecutableFile},
    {"map-wx", MapWritableExecutable},
    {"make-exec", MakeExecutable},
    {"make-read-only", MakeReadOnly},
    {"memfd", MemoryFile},
    {"memfd-thread", MemoryFileOfThread},
    {"dup", Duplicate},
    {"dup-high", DuplicateHigh},
    {"fcntl-dup", DuplicateByFcntl},
    {"fcntl-owner", SetOwner},
    {"fcntl-flags", GetFlags},
    {"ioctl", Ioctl},
    {"set-limit", SetLimit},
    {"get-limit", GetLimit},
    {"setuid", SetUid},
    {"mount", Mount},
    {"unshare", Unshare},
    {"setns", SetNs},
    {"chroot", Chroot},
    {"io-uring", IoUring},
    {"userfaultfd", Userfaultfd},
    {"bpf", Bpf},
    {"keyctl", Keyctl},
    {"add-key", AddKey},
    {"perf-event", PerfEvent},
    {"prctl", Prctl},
    {"seccomp", Seccomp},
    {"landlock", Landlock},
    {"personality", Personality},
    {"reboot", Reboot},
    {"uname", Uname},
    {"wait", Wait},
    {"", Succeed},
};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
