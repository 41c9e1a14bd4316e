// A stand-in for an iperf3 that an attacker has taken over: tries one thing that it must not get,
// or its harmless twin.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/helpers/stand_in.h"

namespace {

using iperf3_exporter::stand_in::Attempt;
using iperf3_exporter::stand_in::g_targets;

// Where the worker has iperf3's descriptor and the path for its exec (worker/sandbox).
constexpr int kProgramFd = 1000;
constexpr std::uintptr_t kExecPathAddress = 0x100000;

constexpr char kLibrary[] = "/lib64/ld-linux-x86-64.so.2";

// What the test has made for us, by the port that it has chosen.
struct Path {
  explicit Path(const char* format) { std::snprintf(text, sizeof text, format, g_targets.port); }
  char text[256];
};
constexpr char kKey[] = "/tmp/hostile_iperf3.%d/key.pem";  // anybody may read it
constexpr char kOwn[] = "/tmp/hostile_iperf3.%d/own";      // our user's
constexpr char kLock[] = "/dev/shm/hostile_iperf3.%d@host";

long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  return ::syscall(number, a, b, c, d, e);
}

long Address(const void* pointer) {
  return static_cast<long>(reinterpret_cast<std::uintptr_t>(pointer));
}

void* At(std::uintptr_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is the point.
  return reinterpret_cast<void*>(address);
}

char* g_argv[] = {nullptr, nullptr};
char g_true[] = "/bin/true";

// Each gives true if it got what it wanted; errno tells why not.

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
// What is above the page that was reached is unmapped again, or the limit of stacks would count.
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
bool MapVdsoToExecPath() {
  return Call(SYS_arch_prctl, 0x2003 /* ARCH_MAP_VDSO_64 */, kExecPathAddress) >= 0;
}
long g_answer[3];
bool AskShadowStack() { return Call(SYS_arch_prctl, 0x5005, Address(g_answer)) == 0; }
bool AskCet() { return Call(SYS_arch_prctl, 0x3001, Address(g_answer)) == 0; }

bool Fork() { return Call(SYS_fork) >= 0; }
bool Vfork() {
  const pid_t pid = ::vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork): the attack
  if (pid == 0) ::_exit(0);
  return pid > 0;
}
bool CloneProcess() { return Call(SYS_clone, SIGCHLD) >= 0; }
bool CloneVfork() { return Call(SYS_clone, CLONE_VFORK | CLONE_VM | SIGCHLD) >= 0; }
int EndAtOnce(void*) { ::_exit(0); }
// As the worker starts iperf3, which its own filter allows.
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
void* Nothing(void*) { return nullptr; }
bool Thread() {
  pthread_t thread = {};
  const int error = ::pthread_create(&thread, nullptr, Nothing, nullptr);
  errno = error;
  return error == 0 && ::pthread_join(thread, nullptr) == 0;
}

void* PollForEver(void*) {
  for (;;) ::poll(nullptr, 0, -1);
}
// As iperf3 ends its streams.
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

bool Open(const char* path, int flags) {
  const int fd = ::open(path, flags, 0600);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}
bool OpenPasswd() { return Open("/etc/passwd", O_RDONLY); }
bool OpenKey() { return Open(Path(kKey).text, O_RDONLY); }
bool OpenMemory() { return Open("/proc/self/mem", O_RDONLY); }
bool WriteMemory() { return Open("/proc/self/mem", O_RDWR); }
// What both workers surely have open, their sockets and the lock included: one that can be had is
// enough.
bool OpenWorkerFd() {
  for (const pid_t pid : {g_targets.worker, g_targets.other_worker}) {
    for (const int fd : {0, 1, 2, 3, 768}) {
      char path[64];
      std::snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
      if (Open(path, O_RDONLY)) return true;
    }
  }
  return false;
}
bool OpenWorkerMemory() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/mem", Worker());
  return Open(path, O_RDONLY);
}
bool OpenOwnToWrite() { return Open(Path(kOwn).text, O_WRONLY); }
bool OpenTruncating() { return Open(Path(kOwn).text, O_RDONLY | O_TRUNC); }
bool CreateElsewhere() {
  return Open(Path("/tmp/hostile_iperf3.%d/new").text, O_RDWR | O_CREAT | O_EXCL);
}
bool CreateInDev() {
  return Open(Path("/dev/shm/hostile_iperf3.%d.new").text, O_RDWR | O_CREAT | O_EXCL);
}
bool UnlinkOwn() { return ::unlink(Path(kOwn).text) == 0; }
bool UnlinkOwnAt() { return ::unlinkat(AT_FDCWD, Path(kOwn).text, 0) == 0; }
bool UnlinkLock() { return ::unlink(Path(kLock).text) == 0; }
bool RemoveFolder() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && ::unlinkat(AT_FDCWD, folder, AT_REMOVEDIR) == 0;
}
bool ReadLibrary() { return Open(kLibrary, O_RDONLY); }
// Twice in a row works only if somebody cleans up.
bool LeaveFile() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/left", std::getenv("TMPDIR"));
  return Open(path, O_RDWR | O_CREAT | O_EXCL);
}
bool LeaveFileAndWait() {
  if (!LeaveFile()) return false;
  ::poll(nullptr, 0, -1);
  return false;
}
bool StreamBuffer() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
  const int fd = ::mkstemp(path);
  return fd >= 0 && ::unlink(path) == 0 && ::ftruncate(fd, 1 << 20) == 0 &&
         ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
}
// By unlinkat, as unlink is where the architecture has no other.
bool StreamBufferAt() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
  return ::mkstemp(path) >= 0 && ::unlinkat(AT_FDCWD, path, 0) == 0;
}
// The lock's child lease.
constexpr int kLockFd = STDIN_FILENO;
bool CutLockShort() { return ::ftruncate(kLockFd, 0) == 0; }
bool WriteLock() { return ::write(kLockFd, g_true, sizeof g_true) > 0; }
bool SendToLock() { return Call(SYS_sendfile, kLockFd, ::open(kLibrary, O_RDONLY), 0, 4096) > 0; }
bool FreeLock() {
  struct flock all = {};
  all.l_type = F_UNLCK;
  return ::fcntl(kLockFd, F_OFD_SETLK, &all) == 0;
}
bool MapLock() { return ::mmap(nullptr, 32, PROT_READ, MAP_PRIVATE, kLockFd, 0) != MAP_FAILED; }
bool MapLockExecutable() {
  return ::mmap(nullptr, 32, PROT_READ | PROT_EXEC, MAP_PRIVATE, kLockFd, 0) != MAP_FAILED;
}
bool HugeFile() {
  char path[256];
  std::snprintf(path, sizeof path, "%s/iperf3.XXXXXX", std::getenv("TMPDIR"));
  const int fd = ::mkstemp(path);
  return ::unlink(path) == 0 && ::ftruncate(fd, 1 << 30) == 0;
}
bool MapExecutableFile() {
  const int fd = ::open(kLibrary, O_RDONLY);
  return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED;
}

bool Socket(int family, int type, int protocol) {
  const int fd = ::socket(family, type, protocol);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}
bool Netlink() { return Socket(AF_NETLINK, SOCK_RAW, 0); }
bool Packet() { return Socket(AF_PACKET, SOCK_DGRAM, 0); }
bool Unix() { return Socket(AF_UNIX, SOCK_STREAM, 0); }
bool Vsock() { return Socket(AF_VSOCK, SOCK_STREAM, 0); }
bool Raw() { return Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
bool Raw6() { return Socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }
bool Sctp() { return Socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP); }
bool Ping() { return Socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }
bool Ping6() { return Socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6); }
bool MultipathTcp() { return Socket(AF_INET, SOCK_STREAM, 262); }
bool Tcp() { return Socket(AF_INET, SOCK_STREAM, 0) && Socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP); }
bool Udp() {
  return Socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0) &&
         Socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP);
}
sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
std::uint16_t OtherPort() { return static_cast<std::uint16_t>(g_targets.other_port); }
bool ConnectTo(int port) {
  const sockaddr_in address = Loopback(static_cast<std::uint16_t>(port));
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}
bool FastOpen() {
  const sockaddr_in address = Loopback(OtherPort());
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  return ::sendto(fd, "x", 1, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) >= 0;
}
bool FastOpenConnect() {
  const sockaddr_in address = Loopback(OtherPort());
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}
bool SendMessage() { return ::sendmsg(STDOUT_FILENO, nullptr, MSG_FASTOPEN) >= 0; }
bool SendMessages() { return Call(SYS_sendmmsg, STDOUT_FILENO, 0, 0, MSG_FASTOPEN) >= 0; }
bool ConnectElsewhere() { return ConnectTo(g_targets.other_port); }
bool ConnectServer() { return ConnectTo(g_targets.port); }
// What iperf3 asks of its sockets.
bool AskSocket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  char answer[512];
  const auto ask = [&](int level, int option) {
    socklen_t size = sizeof answer;
    return ::getsockopt(fd, level, option, answer, &size) == 0;
  };
  return ask(IPPROTO_TCP, TCP_INFO) && ask(IPPROTO_TCP, TCP_CONGESTION) &&
         ask(IPPROTO_TCP, TCP_MAXSEG) && ask(SOL_SOCKET, SO_RCVBUF) && ask(SOL_SOCKET, SO_SNDBUF) &&
         ask(IPPROTO_IP, IP_TOS) && ask(SOL_SOCKET, SO_ERROR);
}
bool AskSocketOption(int option) {
  int answer = 0;
  socklen_t size = sizeof answer;
  return ::getsockopt(::socket(AF_INET, SOCK_STREAM, 0), SOL_SOCKET, option, &answer, &size) == 0;
}
bool AskHighestOption() { return AskSocketOption(63); }
bool AskPeerPidfd() { return AskSocketOption(77); }
bool AskPeerPidfdInLowerHalf() {
  int answer = 0;
  socklen_t size = sizeof answer;
  return Call(SYS_getsockopt, ::socket(AF_INET, SOCK_STREAM, 0), SOL_SOCKET,
              77 | (std::int64_t{1} << 40), Address(&answer), Address(&size)) == 0;
}
// Every descriptor that is iperf3's own, up to the highest.
bool ShutOwn() {
  int fd = 0;
  while ((fd = ::socket(AF_INET, SOCK_DGRAM, 0)) >= 0) {
    const int on = 1;
    if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return false;
    if (::shutdown(fd, SHUT_RDWR) != 0 && errno != ENOTCONN) return false;
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return false;
    if (::lseek(fd, 0, SEEK_SET) >= 0 || errno != ESPIPE) return false;
  }
  return ::shutdown(-1, SHUT_RDWR) != 0 && errno == EBADF;
}
bool ShutError() { return ::shutdown(STDERR_FILENO, SHUT_RDWR) == 0 || errno == ENOTSOCK; }
bool ShutOutput() { return ::shutdown(STDOUT_FILENO, SHUT_RDWR) == 0 || errno == ENOTSOCK; }
bool SetErrorNonBlocking() { return ::fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0; }
bool SetErrorOption() {
  const int on = 1;
  return ::setsockopt(STDERR_FILENO, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 ||
         errno == ENOTSOCK;
}
bool BindTcp() {
  const sockaddr_in address = Loopback(0);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}
bool Listen() { return ::listen(::socket(AF_INET, SOCK_STREAM, 0), 1) == 0; }
bool Accept() { return ::accept(::socket(AF_INET, SOCK_STREAM, 0), nullptr, nullptr) >= 0; }

void* Map(int protection) {
  return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
bool MapWritableExecutable() { return Map(PROT_READ | PROT_WRITE | PROT_EXEC) != MAP_FAILED; }
bool MakeExecutable() {
  return ::mprotect(Map(PROT_READ | PROT_WRITE), 4096, PROT_READ | PROT_EXEC) == 0;
}
bool MakeReadOnly() { return ::mprotect(Map(PROT_READ | PROT_WRITE), 4096, PROT_READ) == 0; }
bool MemoryFile() { return Call(SYS_memfd_create, Address("x"), 0) >= 0; }

bool Duplicate() { return ::dup(1) >= 0; }
bool DuplicateHigh() { return Call(SYS_dup3, 1, kProgramFd, 0) >= 0; }
bool DuplicateByFcntl() { return ::fcntl(1, F_DUPFD, 100) >= 0; }
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
bool OldCall() {
  // The 32-bit table by its own gate, where this machine has one.
  long result = 20;  // getpid there
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  return result > 0;
}
bool X32Call() { return Call(0x40000000L | SYS_getpid) > 0; }
bool Uname() {
  utsname name = {};
  return ::uname(&name) == 0;
}
bool Succeed() { return true; }

// Until it is ended, so that it can be looked at.
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
    {"map-vdso", MapVdsoToExecPath},
    {"ask-shadow", AskShadowStack},
    {"ask-cet", AskCet},
    {"fork", Fork},
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
    {"open-passwd", OpenPasswd},
    {"open-key", OpenKey},
    {"open-mem", OpenMemory},
    {"write-mem", WriteMemory},
    {"open-worker", OpenWorkerFd},
    {"open-worker-mem", OpenWorkerMemory},
    {"unlink-own", UnlinkOwn},
    {"unlink-own-at", UnlinkOwnAt},
    {"unlink-lock", UnlinkLock},
    {"remove-folder", RemoveFolder},
    {"write-own", OpenOwnToWrite},
    {"truncate", OpenTruncating},
    {"create-tmp", CreateElsewhere},
    {"create-shm", CreateInDev},
    {"read-library", ReadLibrary},
    {"leave-file", LeaveFile},
    {"leave-and-wait", LeaveFileAndWait},
    {"stream-buffer", StreamBuffer},
    {"buffer-at", StreamBufferAt},
    {"cut-lock", CutLockShort},
    {"write-lock", WriteLock},
    {"send-to-lock", SendToLock},
    {"free-lock", FreeLock},
    {"map-lock", MapLock},
    {"map-lock-exec", MapLockExecutable},
    {"huge-file", HugeFile},
    {"map-library", MapExecutableFile},
    {"netlink", Netlink},
    {"packet", Packet},
    {"unix", Unix},
    {"vsock", Vsock},
    {"raw", Raw},
    {"raw6", Raw6},
    {"sctp", Sctp},
    {"ping", Ping},
    {"ping6", Ping6},
    {"mptcp", MultipathTcp},
    {"tcp", Tcp},
    {"udp", Udp},
    {"fast-open", FastOpen},
    {"fast-connect", FastOpenConnect},
    {"sendmsg", SendMessage},
    {"sendmmsg", SendMessages},
    {"connect-other", ConnectElsewhere},
    {"connect", ConnectServer},
    {"ask-socket", AskSocket},
    {"ask-option-63", AskHighestOption},
    {"ask-pidfd", AskPeerPidfd},
    {"ask-pidfd-low", AskPeerPidfdInLowerHalf},
    {"shut-own", ShutOwn},
    {"shut-error", ShutError},
    {"shut-output", ShutOutput},
    {"unblock-error", SetErrorNonBlocking},
    {"set-error", SetErrorOption},
    {"bind", BindTcp},
    {"listen", Listen},
    {"accept", Accept},
    {"map-wx", MapWritableExecutable},
    {"make-exec", MakeExecutable},
    {"make-read-only", MakeReadOnly},
    {"memfd", MemoryFile},
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
    {"int80", OldCall},
    {"x32", X32Call},
    {"uname", Uname},
    {"wait", Wait},
    {"", Succeed},
};

}  // namespace

int main(int argc, char** argv) { return iperf3_exporter::stand_in::Main(argc, argv, kAttempts); }
