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
#include <string>

#include "common/cancel_signal.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"
#include "worker/sandbox/socket_options.h"

namespace iperf3_exporter {
namespace {

// Exactly what pthread_create passes to clone: glibc, and musl with a flag that does nothing.
constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                       CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
constexpr std::uint64_t kVforkFlags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;

constexpr std::uint32_t kMultipathTcp = IPPROTO_MPTCP;
constexpr std::uint64_t kSocketTypeMask = 0xf;  // the rest of the argument is flags

// asm/prctl.h
constexpr std::uint32_t kArchSetFs = 0x1002;
// glibc asks about shadow stacks at its start, kernels of two kinds.
constexpr std::uint32_t kArchCetStatus = 0x3001;
constexpr std::uint32_t kArchShadowStackStatus = 0x5005;

// The arm64 loader marks code that is already executable with it. Only a hardening: it can fail.
constexpr std::uint64_t kProtBti = 0x10;

// The lock's descriptors: 768 to 1023.
constexpr std::uint64_t kLockFdsMask = 0xffffff00;
static_assert(kLowestLockFd == 0x300 && kProgramFd < 0x400);

using Comparison = scmp_arg_cmp;

Comparison Is(unsigned argument, std::uint64_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
Comparison Masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
// The kernel ignores the upper half of the register of an int, and so does the rule.
Comparison IsInt(unsigned argument, std::int64_t value) {
  return Masked(argument, 0xffffffffU, static_cast<std::uint32_t>(value));
}
Comparison AtLeast(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_GE, value, 0};
}
Comparison AtMost(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_LE, value, 0};
}

// Adds rules until one fails.
class Rules {
 public:
  Rules(scmp_filter_ctx context, Subject subject, bool answers_habits)
      : context_(context), subject_(subject), answers_habits_(answers_habits) {}

  [[nodiscard]] Status Add(const SyscallRow& row) {
    call_ = ::seccomp_syscall_resolve_name(std::string(row.name).c_str());
    // Unknown to this libseccomp, or not a call of this architecture.
    if (call_ < 0) return {};
    AddFor(row.AccessOf(subject_));
    if (error_ == 0) return {};
    return MakeError(ErrnoText("system call filter: rule for " + std::string(row.name), -error_));
  }

 private:
  using Comparisons = std::initializer_list<Comparison>;

  void Act(std::uint32_t action, Comparisons comparisons) {
    if (error_ != 0) return;
    error_ = ::seccomp_rule_add_array(
        context_, action, call_, static_cast<unsigned>(comparisons.size()), comparisons.begin());
  }
  void Allow(Comparisons comparisons) { Act(SCMP_ACT_ALLOW, comparisons); }
  void AllowEach(unsigned argument, std::initializer_list<int> values) {
    for (const int value : values) Allow({IsInt(argument, value)});
  }
  void Fail(unsigned error_number, Comparisons comparisons) {
    if (answers_habits_) Act(SCMP_ACT_ERRNO(error_number), comparisons);
  }

  void AddFor(Access access) {
    switch (access) {
      case Access::kDenied:
        return;
      case Access::kAllowed:
        return Allow({});
      case Access::kFailsWithEacces:
        return Fail(EACCES, {});
      case Access::kFailsWithEnosys:
        return Fail(ENOSYS, {});
      case Access::kFailsWithEnotty:
        return Fail(ENOTTY, {});
      case Access::kFailsWithEperm:
        return Fail(EPERM, {});
      case Access::kGetSocketOption:
        return AddSocketOptions(OptionUse::kGet);
      case Access::kSetSocketOption:
        return AddSocketOptions(OptionUse::kSet);
      case Access::kInternetSocket:
        return AddSockets();
      case Access::kNoFastOpen:
        // The flags of sendto are its fourth argument, those of sendmsg its third.
        return Allow({Masked(call_ == SCMP_SYS(sendto) ? 3 : 2, MSG_FASTOPEN, 0)});
      case Access::kMapWritableOrExecutable:
        return AddMappings();
      case Access::kNoExecutable:
        Fail(EACCES, {Masked(2, PROT_EXEC | kProtBti, PROT_EXEC | kProtBti)});
        return Allow({AtLeast(0, kLowestMapAddress), Masked(2, PROT_EXEC, 0)});
      case Access::kRemapAnywhere:
        Allow({Is(3, 0)});
        return Allow({Is(3, MREMAP_MAYMOVE)});
      default:
        return AddForFiles(access);
    }
  }

  void AddForFiles(Access access) {
    switch (access) {
      case Access::kFlagsAndRecordLocks:
        for (const int command : {F_OFD_GETLK, F_OFD_SETLK}) {
          Allow({Masked(0, kLockFdsMask, kLowestLockFd), IsInt(1, command)});
        }
        [[fallthrough]];
      case Access::kDescriptorFlags:
        return AllowEach(1, {F_GETFD, F_SETFD, F_GETFL, F_SETFL});
      case Access::kOpenReadOrCreate:
        return AddOpen();
      case Access::kToStandardStreams:
        return Allow({AtMost(1, STDERR_FILENO)});
      case Access::kUnlinkFile:
        return Allow({IsInt(2, 0)});
      default:
        return AddForProcesses(access);
    }
  }

  void AddForProcesses(Access access) {
    switch (access) {
      case Access::kOwnGroup:
        // A child put into another group could be signalled together with it.
        return Allow({IsInt(0, 0), IsInt(1, 0)});
      case Access::kOwnLimits:
        return Allow({IsInt(0, 0)});
      case Access::kReadOwnLimits:
        return Allow({IsInt(0, 0), Is(2, 0)});
      case Access::kParentDeathSignal:
        return Allow({IsInt(0, PR_SET_PDEATHSIG), Is(1, SIGKILL)});
      case Access::kProgramOnce:
        return Allow({IsInt(0, kProgramFd), Is(1, kExecPathAddress), IsInt(4, AT_EMPTY_PATH)});
      case Access::kSeccompFilter:
        return Allow({IsInt(0, SECCOMP_SET_MODE_FILTER)});
      case Access::kSignalItselfOrCancel:
        // The worker's filter applies to iperf3 too, whose pid is not known yet. Every process of
        // ours ignores the cancel signal; abort() that gets no signal ends in another way.
        Allow({IsInt(2, kCancelSignal)});
        Fail(EPERM, {IsInt(2, SIGABRT)});
        [[fallthrough]];
      case Access::kSignalItself:
        return Allow({IsInt(0, kOwnPidPlaceholder)});
      case Access::kSignalIperf3:
        return AllowEach(1, {SIGTERM, SIGKILL});
      case Access::kStartThreadsAndIperf3:
        Allow({Is(0, kVforkFlags)});
        [[fallthrough]];
      case Access::kStartThreads:
        Allow({Is(0, kThreadFlags)});
        return Allow({Is(0, kThreadFlags | CLONE_DETACHED)});
      case Access::kThreadPointer:
        Fail(EINVAL, {IsInt(0, kArchCetStatus)});
        Fail(EINVAL, {IsInt(0, kArchShadowStackStatus)});
        return Allow({IsInt(0, kArchSetFs)});
      default:
        // An access without a rule must not allow anything.
        error_ = -EINVAL;
    }
  }

  void AddSocketOptions(OptionUse use) {
    const auto add = [this](int level, std::uint32_t option) {
      Allow({IsInt(1, level), IsInt(2, option)});
    };
    for (const SocketOption& row : SocketOptions()) {
      if (row.use == use || row.use == OptionUse::kBoth) {
        add(row.level, static_cast<std::uint32_t>(row.option));
      }
    }
    if (use == OptionUse::kSet) {
      add(SOL_SOCKET, subject_ == Subject::kWorker ? SO_BINDTODEVICE : kDeviceOptionPlaceholder);
    }
  }

  // Other types end the process: nothing asks for them by mistake. AF_INET and AF_INET6 differ in
  // one bit.
  void AddSockets() {
    static_assert(AF_INET == 2 && AF_INET6 == 10);
    constexpr std::uint64_t kFamilyMask = 0xffffffffU & ~(AF_INET ^ AF_INET6);
    const auto add = [this](int type, std::uint32_t protocol) {
      Allow({Masked(0, kFamilyMask, AF_INET),
             Masked(1, kSocketTypeMask, static_cast<std::uint64_t>(type)), IsInt(2, protocol)});
    };
    add(SOCK_STREAM, 0);
    add(SOCK_STREAM, IPPROTO_TCP);
    add(SOCK_STREAM, subject_ == Subject::kWorker ? kMultipathTcp : kMultipathPlaceholder);
    add(SOCK_DGRAM, 0);
    add(SOCK_DGRAM, IPPROTO_UDP);
    Fail(EAFNOSUPPORT, {{0, SCMP_CMP_LT, AF_INET, 0}});
    Fail(EAFNOSUPPORT, {{0, SCMP_CMP_GT, AF_INET6, 0}});
  }

  // At an address that the caller leaves open, or one above the page of the exec path. Nothing that
  // grows down: it could be made to reach that page, step by step. What may be mapped how:
  // seccomp_filter.cc.
  void AddMappings() {
    Allow({Is(0, 0), Masked(3, MAP_GROWSDOWN | MAP_FIXED | MAP_FIXED_NOREPLACE, 0)});
    Allow({AtLeast(0, kLowestMapAddress), Masked(3, MAP_GROWSDOWN, 0)});
  }

  void AddOpen() {
    const unsigned flags = call_ == SCMP_SYS(openat) ? 2 : 1;
    Allow({Masked(flags, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)});
    Allow({Masked(flags, O_ACCMODE | O_CREAT | O_EXCL, O_RDWR | O_CREAT | O_EXCL)});
  }

  scmp_filter_ctx context_;
  Subject subject_;
  bool answers_habits_;
  int call_ = 0;
  int error_ = 0;
};

}  // namespace

Status AddSeccompRules(void* context, Subject subject, bool answers_habits) {
  Rules rules(context, subject, answers_habits);
  for (const SyscallGroup& group : SyscallGroups()) {
    for (const SyscallRow& row : group.rows) {
      if (Status added = rules.Add(row); !added) return added;
    }
  }
  return {};
}

}  // namespace iperf3_exporter
