#include "worker/sandbox/seccomp_rules.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "common/cancel_signal.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/syscall_table.h"

namespace iperf3_exporter {
namespace {

// What pthread_create asks of clone, exactly.
constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                       CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
constexpr std::uint64_t kVforkFlags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;

constexpr std::uint64_t kSocketTypeMask = 0xf;  // the rest of the argument is flags

// asm/prctl.h
constexpr std::uint32_t kArchSetFs = 0x1002;
// What glibc asks at its start about shadow stacks, of kernels of two kinds.
constexpr std::uint32_t kArchCetStatus = 0x3001;
constexpr std::uint32_t kArchShadowStackStatus = 0x5005;

// Descriptors are told apart by masks, because an order would look at the upper half of the
// register too, which the kernel does not: a mask, and what it must leave.
struct Masks {
  std::uint64_t mask;
  std::uint64_t rest;
};
using MaskList = std::initializer_list<Masks>;

// What was never opened: the kernel says EBADF, where the filter would end a careless iperf3.
constexpr Masks kNoFd = {0xffffffff, 0xffffffff};

// Below the lock's: 0 to 511, 512 to 767.
constexpr MaskList kBelowLockFds = {{0xfffffe00, 0}, {0xffffff00, 0x200}, kNoFd};
constexpr MaskList kFilesBelowLockFds = {{0xfffffe00, 0}, {0xffffff00, 0x200}};

// Of them those above standard error, which every process of the exporter, and perhaps of the
// service manager, has as well: what is set there is set for all.
constexpr MaskList kOwnFds = {
    {0xffffffff, 3},     {0xfffffffc, 4},
    {0xfffffff8, 8},     {0xfffffff0, 0x10},
    {0xffffffe0, 0x20},  {0xffffffc0, 0x40},
    {0xffffff80, 0x80},  {0xffffff00, 0x100},
    {0xffffff00, 0x200}, kNoFd,
};

// From the lock's first: 768 to 1023. The program's, which can't be locked, is among them.
constexpr Masks kLockFds = {0xffffff00, 0x300};
static_assert(kLowestLockFd == 0x300 && kProgramFd < 0x400);

constexpr std::initializer_list<std::uint32_t> kRecordLockCommands = {F_OFD_GETLK, F_OFD_SETLK};

// 0 to 63. TCP_INFO is 11, TCP_CONGESTION 13; SO_PEERPIDFD, 77, would give a descriptor of the
// supervisor, by which it can be signalled.
constexpr Masks kOldSocketOptions = {0xffffffc0, 0};

using Comparison = scmp_arg_cmp;

Comparison Is(unsigned argument, std::uint64_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
// The argument is an int: the upper half of its register is not the caller's word.
Comparison IsInt(unsigned argument, std::uint32_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value};
}
Comparison Masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
Comparison Masked(unsigned argument, const Masks& masks) {
  return Masked(argument, masks.mask, masks.rest);
}
Comparison AtLeast(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_GE, value, 0};
}
Comparison AtMost(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_LE, value, 0};
}
// Of the whole register: an int whose upper half is not clean differs too.
Comparison IsNot(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_NE, value, 0};
}

// Adds rules until one fails; first failure wins.
class Rules {
 public:
  Rules(scmp_filter_ctx context, FilterOf of, FilterMode mode, int program_fd)
      : context_(context), of_(of), mode_(mode), program_fd_(program_fd) {}

  void Add(const SyscallGrant& grant) {
    call_ = ::seccomp_syscall_resolve_name(std::string(grant.name).c_str());
    // Not known to this libseccomp, or not a call of this architecture.
    if (call_ < 0) return;
    if (!worker() && mode_ == FilterMode::kKill) {
      TakeAway(grant);
    } else if (worker() || grant.grantee == Grantee::kBoth) {
      AddFor(grant.condition);
    }
    if (result_ != 0 && failed_.empty()) failed_ = grant.name;
  }

  void Allow(const char* name) {
    call_ = ::seccomp_syscall_resolve_name(name);
    Allow({});
  }

  [[nodiscard]] Status Finish() const {
    if (result_ == 0) return {};
    return MakeError(ErrnoText("system call filter: rule for " + failed_, -result_));
  }

 private:
  [[nodiscard]] bool worker() const { return of_ == FilterOf::kWorker; }

  void Act(std::uint32_t action, std::initializer_list<Comparison> comparisons) {
    if (result_ != 0) return;
    result_ =
        ::seccomp_rule_add_array(context_, action, call_, static_cast<unsigned>(comparisons.size()),
                                 comparisons.size() == 0 ? nullptr : comparisons.begin());
  }
  void Allow(std::initializer_list<Comparison> comparisons) { Act(SCMP_ACT_ALLOW, comparisons); }
  void Kill(std::initializer_list<Comparison> comparisons) {
    Act(SCMP_ACT_KILL_PROCESS, comparisons);
  }
  void Answer(int error_number, std::initializer_list<Comparison> comparisons) {
    Act(SCMP_ACT_ERRNO(static_cast<unsigned>(error_number)), comparisons);
  }

  // What the worker may and iperf3 may not: the cases in which AddFor asks which of them it is. No
  // default: the compiler shall ask for each condition.
  void TakeAway(const SyscallGrant& grant) {
    if (grant.grantee == Grantee::kWorkerOnly) return Kill({});
    switch (grant.condition) {
      case Condition::kCloneFlags:
        return Kill({IsNot(0, kThreadFlags)});
      case Condition::kFcntlCommand:
        for (const std::uint32_t command : kRecordLockCommands) Kill({IsInt(1, command)});
        return;
      case Condition::kOwnThread:
        return Kill({IsNot(0, kOwnPidPlaceholder)});
      case Condition::kOwnLimits:
      case Condition::kUnlinkFile:
        return Kill({IsNot(2, 0)});
      case Condition::kNone:
      case Condition::kDuplicateToStdio:
      case Condition::kExecveatProgram:
      case Condition::kKillSignal:
      case Condition::kMapNotBoth:
      case Condition::kProtectNotExecute:
      case Condition::kNotTheLock:
      case Condition::kOwnDescriptor:
      case Condition::kOwnGroup:
      case Condition::kRemapNotFixed:
      case Condition::kOpenReadOrCreate:
      case Condition::kParentDeathOnly:
      case Condition::kSeccompFilterOnly:
      case Condition::kSendNoConnect:
      case Condition::kSocketAsk:
      case Condition::kSocketInternet:
      case Condition::kThreadPointer:
      case Condition::kAnswersEnosys:
      case Condition::kAnswersEnotty:
        return;
    }
    result_ = -EINVAL;
  }

  void AddFor(Condition condition) {
    switch (condition) {
      case Condition::kNone:
        return Allow({});
      case Condition::kAnswersEnosys:
        return Answer(ENOSYS, {});
      case Condition::kAnswersEnotty:
        // The diagnosing worker speaks to its listener by ioctl.
        if (worker() && mode_ == FilterMode::kDiagnose) return Allow({});
        return Answer(ENOTTY, {});
      case Condition::kMapNotBoth:
      case Condition::kProtectNotExecute:
      case Condition::kRemapNotFixed:
        return AddMemory(condition);
      case Condition::kNotTheLock:
      case Condition::kOwnDescriptor:
      case Condition::kOpenReadOrCreate:
      case Condition::kDuplicateToStdio:
      case Condition::kFcntlCommand:
      case Condition::kUnlinkFile:
        return AddFiles(condition);
      case Condition::kSocketInternet:
        return AddSocket();
      case Condition::kSocketAsk:
        return Allow({Masked(2, kOldSocketOptions)});
      case Condition::kSendNoConnect:
        // Landlock sees no connect in it.
        return Allow({Masked(3, MSG_FASTOPEN, 0)});
      default:
        return AddProcess(condition);
    }
  }

  // An address that the caller leaves open, or one above the exec path's page. What grows down
  // could be made to reach the page, step by step.
  void AddMemory(Condition condition) {
    if (condition == Condition::kRemapNotFixed) {
      Allow({Is(3, 0)});
      return Allow({Is(3, MREMAP_MAYMOVE)});
    }
    if (condition == Condition::kProtectNotExecute) {
      return Allow({AtLeast(0, kLowestMapAddress), Masked(2, PROT_EXEC, 0)});
    }
    constexpr std::uint64_t kFixed = MAP_FIXED | MAP_FIXED_NOREPLACE;
    // The lock's files are mapped writable: executable as well they would hold what code one likes.
    const auto add = [this](const Comparison& address, std::uint64_t never) {
      Allow({address, Masked(2, PROT_EXEC, 0), Masked(3, never, 0)});
      for (const Masks& file : kFilesBelowLockFds) {
        Allow({address, Masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC), Masked(3, never, 0),
               Masked(4, file)});
      }
    };
    add(Is(0, 0), MAP_GROWSDOWN | kFixed);
    add(AtLeast(0, kLowestMapAddress), MAP_GROWSDOWN);
  }

  void AddFiles(Condition condition) {
    switch (condition) {
      case Condition::kOpenReadOrCreate: {
        constexpr std::uint64_t kNew = O_RDWR | O_CREAT | O_EXCL;
        Allow({Masked(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)});
        return Allow({Masked(2, O_ACCMODE | O_CREAT | O_EXCL, kNew)});
      }
      case Condition::kNotTheLock:
        return AllowEach(kBelowLockFds, {});
      case Condition::kOwnDescriptor:
        return AllowEach(kOwnFds, {});
      case Condition::kDuplicateToStdio:
        // Nothing may be put in the place of the program's descriptor.
        AllowEach(kBelowLockFds, AtMost(1, STDERR_FILENO));
        // The lock's child lease, which can only be read.
        return Allow({IsInt(0, kLowestLockFd), IsInt(1, STDIN_FILENO)});
      case Condition::kUnlinkFile:
        return worker() ? Allow({}) : Allow({IsInt(2, 0)});
      default:
        return AddFcntl();
    }
  }

  // For any of these descriptors, and, if given, only with `also`.
  void AllowEach(MaskList descriptors, const std::optional<Comparison>& also) {
    for (const Masks& masks : descriptors) {
      also ? Allow({Masked(0, masks), *also}) : Allow({Masked(0, masks)});
    }
  }

  void AddFcntl() {
    for (const std::uint32_t command : {F_GETFD, F_SETFD, F_GETFL}) Allow({IsInt(1, command)});
    // Of the open file, not of the descriptor.
    AllowEach(kOwnFds, IsInt(1, F_SETFL));
    if (!worker()) return;
    for (const std::uint32_t command : kRecordLockCommands) {
      Allow({Masked(0, kLockFds), IsInt(1, command)});
    }
  }

  // Families 3 to 9 and all other types end the process: nothing asks for them by mistake.
  void AddSocket() {
    for (const int family : {AF_INET, AF_INET6}) {
      for (const auto& [type, own_protocol] :
           {std::pair{SOCK_STREAM, IPPROTO_TCP}, std::pair{SOCK_DGRAM, IPPROTO_UDP}}) {
        for (const int protocol : {0, static_cast<int>(own_protocol)}) {
          Allow({IsInt(0, static_cast<std::uint32_t>(family)),
                 Masked(1, kSocketTypeMask, static_cast<std::uint64_t>(type)),
                 IsInt(2, static_cast<std::uint32_t>(protocol))});
        }
      }
    }
    Answer(EAFNOSUPPORT, {{0, SCMP_CMP_LT, AF_INET, 0}});
    Answer(EAFNOSUPPORT, {{0, SCMP_CMP_GT, AF_INET6, 0}});
  }

  void AddProcess(Condition condition) {
    switch (condition) {
      case Condition::kCloneFlags:
        Allow({Is(0, kThreadFlags)});
        if (worker()) Allow({Is(0, kVforkFlags)});
        return;
      case Condition::kExecveatProgram:
        return Allow({IsInt(0, static_cast<std::uint32_t>(program_fd_)), Is(1, kExecPathAddress),
                      IsInt(4, AT_EMPTY_PATH)});
      case Condition::kKillSignal:
        for (const std::uint32_t signal_number : {SIGTERM, SIGKILL}) {
          Allow({IsInt(1, signal_number)});
        }
        return;
      case Condition::kOwnGroup:
        // A child put into another's group could be signalled together with it.
        return Allow({IsInt(0, 0), IsInt(1, 0)});
      case Condition::kOwnThread:
        Allow({IsInt(0, kOwnPidPlaceholder)});
        if (!worker()) return;
        // The worker's filter holds for iperf3 too, whose number is not known yet: what threads
        // need, which others ignore, and an abort, which without its signal ends in another way.
        Allow({IsInt(2, kCancelSignal)});
        return Answer(EPERM, {IsInt(2, SIGABRT)});
      case Condition::kOwnLimits:
        return worker() ? Allow({IsInt(0, 0)}) : Allow({IsInt(0, 0), Is(2, 0)});
      case Condition::kParentDeathOnly:
        return Allow({IsInt(0, PR_SET_PDEATHSIG), Is(1, SIGKILL)});
      case Condition::kThreadPointer:
        for (const std::uint32_t question : {kArchCetStatus, kArchShadowStackStatus}) {
          Answer(EINVAL, {IsInt(0, question)});
        }
        return Allow({IsInt(0, kArchSetFs)});
      case Condition::kSeccompFilterOnly:
        return Allow({IsInt(0, SECCOMP_SET_MODE_FILTER)});
      default:
        // A condition without a rule must not grant anything.
        result_ = -EINVAL;
    }
  }

  scmp_filter_ctx context_;
  FilterOf of_;
  FilterMode mode_;
  int program_fd_;
  int call_ = 0;
  int result_ = 0;
  std::string failed_;
};

}  // namespace

Status AddSeccompRules(void* context, FilterOf of, FilterMode mode, int program_fd) {
  Rules rules(context, of, mode, program_fd);
  for (const SyscallGroup& group : SyscallGroups()) {
    for (const SyscallGrant& grant : group.grants) rules.Add(grant);
  }
  // The child sends the listener's descriptor after it has entered the filter.
  if (mode == FilterMode::kDiagnose && of == FilterOf::kIperf3) rules.Allow("sendmsg");
  return rules.Finish();
}

}  // namespace iperf3_exporter
