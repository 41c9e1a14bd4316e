// What the filters say, by their programs alone. What the kernel makes of them is shown by the
// hostile stand-ins.
#include "worker/sandbox/seccomp_filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <iterator>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "common/cancel_signal.h"
#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_rules.h"
#include "worker/sandbox/syscall_table.h"

namespace iperf3_exporter {
namespace {

std::uint32_t Word(const seccomp_data& call, std::uint32_t offset) {
  std::uint32_t word = 0;
  std::memcpy(&word, reinterpret_cast<const char*>(&call) + offset, sizeof word);
  return word;
}

// Of a program of those instructions that libseccomp uses; fails the test at any other.
std::uint32_t Answer(std::span<const sock_filter> program, const seccomp_data& call) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    const auto jump = [&](bool taken) { at += taken ? step.jt : step.jf; };
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        accumulator = Word(call, step.k);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= step.k;
        break;
      case BPF_JMP | BPF_JA:
        at += step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(accumulator == step.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(accumulator > step.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(accumulator >= step.k);
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "instruction " << at << " has the code " << step.code;
        return SECCOMP_RET_KILL_PROCESS;
    }
  }
  ADD_FAILURE() << "the program ends without an answer";
  return SECCOMP_RET_KILL_PROCESS;
}

// Calls with arguments at and around what the filters compare them with.
class Calls {
 public:
  Calls(std::initializer_list<std::span<const sock_filter>> programs) {
    for (const auto& program : programs) {
      for (const sock_filter& step : program) {
        const auto kind = BPF_CLASS(step.code);
        if (kind == BPF_JMP || kind == BPF_ALU) words_.insert(step.k);
      }
    }
  }

  seccomp_data Make(int number) {
    seccomp_data call = {};
    call.nr = number;
    call.arch = ::seccomp_arch_native();
    for (auto& argument : call.args) {
      const std::uint64_t upper = random_() % 5 == 0 ? OneOfTheirs() : 0;
      argument = upper << 32U | OneOfTheirs();
    }
    return call;
  }

 private:
  std::uint32_t OneOfTheirs() {
    auto word = words_.begin();
    std::advance(word, random_() % words_.size());
    const std::uint32_t near[] = {*word, *word, *word, *word + 1, *word - 1, ~*word};
    return near[random_() % std::size(near)];
  }

  std::mt19937 random_;  // NOLINT(cert-msc51-cpp): the same calls in each run
  std::set<std::uint32_t> words_;
};

// What a name stands for on this machine; negative: it is no call here.
int NumberOf(std::string_view name) {
  return ::seccomp_syscall_resolve_name(std::string(name).c_str());
}

template <typename Visit>
void ForEachGrant(Visit visit) {
  for (const SyscallGroup& group : SyscallGroups()) {
    for (const SyscallGrant& grant : group.grants) {
      if (NumberOf(grant.name) >= 0) visit(grant);
    }
  }
}

// Where these differ from what they are compared with in the upper half alone, which the kernel
// ignores, the filter that takes away is the stricter one.
bool HasUnusedBits(const seccomp_data& call) {
  return (call.nr == SYS_tgkill && call.args[0] >> 32U != 0) ||
         (call.nr == SYS_unlinkat && call.args[2] >> 32U != 0);
}

// iperf3's filter of the one mode names what it takes from the worker's, that of the other all that
// is granted. Both must come to the same.
class Iperf3FiltersTest : public ::testing::Test {
 protected:
  static SeccompFilter Build(FilterOf of, FilterMode mode) {
    return SeccompFilter::Build(of, mode, kProgramFd).value();
  }

  bool MayWorker(const seccomp_data& call) {
    return Answer(worker_.program(), call) != SECCOMP_RET_KILL_PROCESS;
  }
  bool IsTaken(const seccomp_data& call) {
    return Answer(taking_.program(), call) == SECCOMP_RET_KILL_PROCESS;
  }
  bool IsGranted(const seccomp_data& call) {
    return Answer(granting_.program(), call) != SECCOMP_RET_USER_NOTIF;
  }

  const SeccompFilter worker_ = Build(FilterOf::kWorker, FilterMode::kKill);
  const SeccompFilter taking_ = Build(FilterOf::kIperf3, FilterMode::kKill);
  const SeccompFilter granting_ = Build(FilterOf::kIperf3, FilterMode::kDiagnose);
  Calls calls_{worker_.program(), taking_.program(), granting_.program()};
};

TEST_F(Iperf3FiltersTest, TakeWhatOnlyTheWorkerMay) {
  ForEachGrant([&](const SyscallGrant& grant) {
    if (grant.grantee != Grantee::kWorkerOnly) return;
    for (int i = 0; i < 100; ++i) {
      const seccomp_data call = calls_.Make(NumberOf(grant.name));
      ASSERT_TRUE(IsTaken(call)) << grant.name;
      ASSERT_FALSE(IsGranted(call)) << grant.name;
    }
  });
}

TEST_F(Iperf3FiltersTest, GrantTheSameOfTheOthers) {
  ForEachGrant([&](const SyscallGrant& grant) {
    if (grant.grantee != Grantee::kBoth) return;
    for (int i = 0; i < 5000; ++i) {
      const seccomp_data call = calls_.Make(NumberOf(grant.name));
      if (!MayWorker(call)) continue;
      if (HasUnusedBits(call)) {
        ASSERT_TRUE(IsTaken(call)) << grant.name;
      } else {
        ASSERT_NE(IsTaken(call), IsGranted(call))
            << grant.name << std::hex << ' ' << call.args[0] << ' ' << call.args[1] << ' '
            << call.args[2] << ' ' << call.args[3];
      }
    }
  });
}

// Those that random arguments seldom meet, and what they are meant to come to.
TEST_F(Iperf3FiltersTest, GrantTheSameWhereTheWorkerMayMore) {
  constexpr std::uint64_t kVfork = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                    CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  const struct {
    std::array<std::uint64_t, 5> arguments;
    int number;
    bool iperf3_may;
  } kCases[] = {
      {{kThread}, SYS_clone, true},
      {{kVfork}, SYS_clone, false},
      {{kProgramFd, kExecPathAddress, 0, 0, AT_EMPTY_PATH}, SYS_execveat, true},
      {{3, F_GETFL}, SYS_fcntl, true},
      {{kLowestLockFd, F_OFD_GETLK}, SYS_fcntl, false},
      {{kLowestLockFd + 1, F_OFD_SETLK}, SYS_fcntl, false},
      {{0, RLIMIT_STACK, 0, 0x500000}, SYS_prlimit64, true},
      {{0, RLIMIT_STACK, 0x500000, 0}, SYS_prlimit64, false},
      {{kOwnPidPlaceholder, 1, SIGTERM}, SYS_tgkill, true},
      {{1, 1, static_cast<std::uint64_t>(kCancelSignal)}, SYS_tgkill, false},
      {{3, 0x500000, 0}, SYS_unlinkat, true},
      {{3, 0x500000, AT_REMOVEDIR}, SYS_unlinkat, false},
  };
  for (const auto& [arguments, number, iperf3_may] : kCases) {
    seccomp_data call = {};
    call.nr = number;
    call.arch = ::seccomp_arch_native();
    std::copy(arguments.begin(), arguments.end(), std::begin(call.args));
    EXPECT_TRUE(MayWorker(call)) << SyscallName(number);
    EXPECT_EQ(!IsTaken(call), iperf3_may) << SyscallName(number) << ' ' << arguments[1];
    EXPECT_EQ(IsGranted(call), iperf3_may) << SyscallName(number) << ' ' << arguments[1];
  }
}

}  // namespace
}  // namespace iperf3_exporter
