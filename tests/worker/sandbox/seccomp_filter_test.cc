// What the filters say, by their programs alone. What the kernel makes of them is shown by the
// hostile stand-ins.
#include "worker/sandbox/seccomp_filter.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <cstring>
#include <iterator>
#include <random>
#include <set>
#include <span>
#include <vector>

#include "worker/sandbox/resource_limits.h"

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

// Calls with arguments at and around what the filters compare them with, of those numbers that the
// worker's filter does not refuse in any case.
class Calls {
 public:
  Calls(std::span<const sock_filter> worker,
        std::initializer_list<std::span<const sock_filter>> others) {
    Collect(worker);
    for (const auto& program : others) Collect(program);
    for (int number = 0; number < 470; ++number) {
      for (int tries = 0; tries < 1000; ++tries) {
        if (Answer(worker, Make(number)) == SECCOMP_RET_KILL_PROCESS) continue;
        numbers_.push_back(number);
        break;
      }
    }
  }

  seccomp_data Next() { return Make(numbers_[random_() % numbers_.size()]); }

 private:
  void Collect(std::span<const sock_filter> program) {
    for (const sock_filter& step : program) {
      const auto kind = BPF_CLASS(step.code);
      if (kind == BPF_JMP || kind == BPF_ALU) words_.insert(step.k);
    }
  }

  std::uint32_t OneOfTheirs() {
    auto word = words_.begin();
    std::advance(word, random_() % words_.size());
    const std::uint32_t near[] = {*word, *word, *word, *word + 1, *word - 1, ~*word};
    return near[random_() % std::size(near)];
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

  std::mt19937 random_;  // NOLINT(cert-msc51-cpp): the same calls in each run
  std::set<std::uint32_t> words_;
  std::vector<int> numbers_;
};

// Where these differ from what they are compared with in the upper half alone, which the kernel
// ignores, the filter that takes away ends the process.
bool HasUnusedBits(const seccomp_data& call) {
  return (call.nr == SYS_tgkill && call.args[0] >> 32U != 0) ||
         (call.nr == SYS_unlinkat && call.args[2] >> 32U != 0);
}

// iperf3's filter of the one mode names what it takes from the worker's, that of the other all that
// is granted. Both must come to the same.
class Iperf3FiltersTest : public ::testing::Test {
 protected:
  // Whether iperf3 may make that call: it may be answered with an error, but does not end it.
  bool Check(const seccomp_data& call) {
    if (Answer(worker_.program(), call) == SECCOMP_RET_KILL_PROCESS) return false;
    const bool may = Answer(taking_.program(), call) != SECCOMP_RET_KILL_PROCESS;
    EXPECT_EQ(may, Answer(granting_.program(), call) != SECCOMP_RET_USER_NOTIF)
        << SyscallName(call.nr) << std::hex << ' ' << call.args[0] << ' ' << call.args[1] << ' '
        << call.args[2] << ' ' << call.args[3];
    return may;
  }

  static SeccompFilter Build(FilterOf of, FilterMode mode) {
    return SeccompFilter::Build(of, mode, kProgramFd).value();
  }

  const SeccompFilter worker_ = Build(FilterOf::kWorker, FilterMode::kKill);
  const SeccompFilter taking_ = Build(FilterOf::kIperf3, FilterMode::kKill);
  const SeccompFilter granting_ = Build(FilterOf::kIperf3, FilterMode::kDiagnose);
};

TEST_F(Iperf3FiltersTest, GrantTheSameCalls) {
  Calls calls(worker_.program(), {taking_.program(), granting_.program()});
  int allowed = 0;
  for (int i = 0; i < 500'000 && !HasFailure(); ++i) {
    const seccomp_data call = calls.Next();
    // Only who diagnoses sends messages with descriptors.
    if (call.nr == SYS_sendmsg || HasUnusedBits(call)) continue;
    allowed += static_cast<int>(Check(call));
  }
  EXPECT_GT(allowed, 10'000);
}

// Two conditions that random arguments seldom meet at once.
TEST_F(Iperf3FiltersTest, GrantTheSameCommandsOfTheSameDescriptors) {
  int allowed = 0;
  for (unsigned fd = 0; fd <= kProgramFd + 100; ++fd) {
    for (unsigned command = 0; command < 64 && !HasFailure(); ++command) {
      seccomp_data call = {};
      call.nr = SYS_fcntl;
      call.arch = ::seccomp_arch_native();
      call.args[0] = fd;
      call.args[1] = command;
      allowed += static_cast<int>(Check(call));
    }
  }
  // F_GETFD, F_SETFD, F_GETFL of each, F_SETFL of its own.
  EXPECT_EQ(allowed, 3 * (kProgramFd + 101) + (kLowestLockFd - 3));
}

}  // namespace
}  // namespace iperf3_exporter
