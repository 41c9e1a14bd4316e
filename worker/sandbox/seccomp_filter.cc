#include "worker/sandbox/seccomp_filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>

#include "common/deleter.h"
#include "common/unique_fd.h"
#include "worker/sandbox/resource_limits.h"

namespace iperf3_exporter {
namespace {

using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Deleter<seccomp_release>>;

// The offset of an argument's lower half. If the parameter is an int, the kernel reads only that.
constexpr std::uint32_t IntArgument(unsigned index) {
  const std::size_t low = std::endian::native == std::endian::little ? 0 : sizeof(std::uint32_t);
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + index * sizeof(std::uint64_t) +
                                    low);
}

constexpr sock_filter Load(std::uint32_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
// Tests the loaded value, then skips `if_true` or `if_false` instructions.
constexpr sock_filter Branch(unsigned test, std::uint32_t value, std::uint8_t if_true,
                             std::uint8_t if_false) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, if_true, if_false);
}

// The first instructions of every filter, written by hand. libseccomp would need many rules for
// them, because it compares whole 64-bit registers and allows one comparison per argument and rule.
std::vector<sock_filter> FirstRules(std::uint32_t deny_action) {
  const sock_filter deny = BPF_STMT(BPF_RET | BPF_K, deny_action);
  std::vector<sock_filter> program;
  const auto add = [&program](int call, std::initializer_list<sock_filter> rules) {
    program.push_back(Load(offsetof(seccomp_data, nr)));
    program.push_back(Branch(BPF_JEQ, static_cast<std::uint32_t>(call), 0,
                             static_cast<std::uint8_t>(rules.size())));
    program.insert(program.end(), rules);
  };
  // Descriptors 0 to 2 are either iperf3's pipes or shared with the supervisor and perhaps with the
  // service manager. Apart from writing, no call may alter their open files: otherwise a process
  // could truncate the log or make it lose lines.
  for (const int call :
       {SYS_bind, SYS_connect, SYS_ftruncate, SYS_lseek, SYS_setsockopt, SYS_shutdown}) {
    add(call, {Load(IntArgument(0)), Branch(BPF_JGE, STDERR_FILENO + 1, 1, 0), deny});
  }
  add(SYS_fcntl, {Load(IntArgument(1)), Branch(BPF_JEQ, F_SETFL, 0, 3), Load(IntArgument(0)),
                  Branch(BPF_JGE, STDERR_FILENO + 1, 1, 0), deny});
  constexpr unsigned kProtection = 2;
  constexpr unsigned kFlags = 3;
  constexpr unsigned kDescriptor = 4;
  add(SYS_mmap,
      {// No mapping may be both writable and executable. An executable one must be of a
       // file whose descriptor is above stderr and below the lock's, because the
       // lock's holder table is also mapped writable.
       Load(IntArgument(kProtection)), Branch(BPF_JSET, PROT_EXEC, 0, 5),
       Branch(BPF_JSET, PROT_WRITE, 3, 0), Load(IntArgument(kDescriptor)),
       Branch(BPF_JGE, kLowestLockFd, 1, 0), Branch(BPF_JGE, STDERR_FILENO + 1, 1, 0), deny,
       // A shared mapping must be writable, which the kernel refuses for a socket.
       Load(IntArgument(kProtection)), Branch(BPF_JSET, PROT_WRITE, 3, 0),
       Load(IntArgument(kFlags)), Branch(BPF_JSET, MAP_SHARED, 0, 1), deny});
  return program;
}

Status AddTable(scmp_filter_ctx context, Subject subject, bool with_errno_rules) {
  for (const SyscallGroup& group : SyscallGroups()) {
    for (const SyscallRow& row : group.rows) {
      const int call = ::seccomp_syscall_resolve_name(row.name);
      // Unknown to this libseccomp, or not a call of this architecture.
      if (call < 0) continue;
      for (const SyscallRule& rule : subject == Subject::kWorker ? row.worker : row.iperf3) {
        if (rule.action != SCMP_ACT_ALLOW && !with_errno_rules) continue;
        const int error = ::seccomp_rule_add_array(context, rule.action, call,
                                                   rule.comparison_count, rule.comparisons.data());
        if (error == 0) continue;
        return MakeError(
            ErrnoText("system call filter: rule for " + std::string(row.name), -error));
      }
    }
  }
  return {};
}

// Appends libseccomp's filter, which can only be exported to a descriptor. It is much smaller than
// the buffer of a pipe, so the write does not block.
Status Export(scmp_filter_ctx context, std::vector<sock_filter>& program) {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoError("system call filter: pipe2");
  const UniqueFd from(fds[0]);
  const UniqueFd to(fds[1]);
  if (const int error = ::seccomp_export_bpf(context, to.get()); error != 0) {
    return MakeError(ErrnoText("system call filter: export", -error));
  }
  const std::size_t before = program.size();
  program.resize(BPF_MAXINSNS);
  const ssize_t bytes =
      ::read(from.get(), program.data() + before, (program.size() - before) * sizeof(sock_filter));
  if (bytes <= 0) return ErrnoError("system call filter: read");
  program.resize(before + static_cast<std::size_t>(bytes) / sizeof(sock_filter));
  program.shrink_to_fit();
  return {};
}

// For BPF and for libseccomp, whose actions have the same values as the kernel's constants.
std::uint32_t DenyAction(Subject subject, FilterMode mode) {
  if (mode == FilterMode::kKill) return SECCOMP_RET_KILL_PROCESS;
  return subject == Subject::kWorker ? SECCOMP_RET_LOG : SECCOMP_RET_USER_NOTIF;
}

// The value that `number` stands for if it is a placeholder. Returns other numbers unchanged, and
// also the placeholder of a grant that the job lacks: it matches no real argument.
std::uint32_t ValueOf(std::uint32_t number, JobGrants grants) {
  switch (number) {
    case kOwnPidPlaceholder:
      return static_cast<std::uint32_t>(::getpid());
    case kDeviceOptionPlaceholder:
      return grants.binds_device ? SO_BINDTODEVICE : number;
    case kMultipathPlaceholder:
      return grants.multipath_tcp ? std::uint32_t{IPPROTO_MPTCP} : number;
    default:
      return number;
  }
}

}  // namespace

Status MapExecPath() {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a fixed address is required.
  void* wanted = reinterpret_cast<void*>(kExecPathAddress);
  void* page =
      ::mmap(wanted, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (page == wanted) return {};
  return ErrnoError("mapping the page for execveat's path");
}

Result<SeccompFilter> SeccompFilter::Build(Subject subject, FilterMode mode) {
  // Set the API level, because libseccomp asks the kernel for it otherwise and builds nothing if an
  // outer filter denies the question. Install fails if the kernel rejects the filter.
  constexpr unsigned kApiLevelOfLinux5_0 = 5;
  ::seccomp_api_set(kApiLevelOfLinux5_0);
  const std::uint32_t deny = DenyAction(subject, mode);
  const Context context(::seccomp_init(deny));
  if (!context) return MakeError("system call filter: out of memory");
  // On another architecture the same number means another call.
  ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // Kernels before 5.11 have no cache of allowed calls, so the data path comes first.
  for (const char* name : kDataPathCalls) {
    const int call = ::seccomp_syscall_resolve_name(name);
    if (call >= 0) ::seccomp_syscall_priority(context.get(), call, 255);
  }
  // A diagnosing worker gets no errno rules: the one for ioctl would stop it from answering its
  // listener.
  const bool with_errno_rules = mode == FilterMode::kKill || subject == Subject::kIperf3;
  if (const Status added = AddTable(context.get(), subject, with_errno_rules); !added) {
    return tl::unexpected(added.error());
  }
  std::vector<sock_filter> program = FirstRules(deny);
  if (const Status exported = Export(context.get(), program); !exported) {
    return tl::unexpected(exported.error());
  }
  return SeccompFilter(std::move(program));
}

int SeccompFilter::Install(JobGrants grants, bool with_listener) const {
  std::ranges::transform(program_, installed_.begin(), [grants](sock_filter instruction) {
    instruction.k = ValueOf(instruction.k, grants);
    return instruction;
  });
  const sock_fprog program = {static_cast<unsigned short>(installed_.size()), installed_.data()};
  const unsigned flags = with_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

std::string SyscallName(int number) {
  const std::unique_ptr<char, Deleter<std::free>> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number));
  return name ? std::string(name.get()) : "unknown call";
}

}  // namespace iperf3_exporter
