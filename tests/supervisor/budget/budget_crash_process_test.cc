// SIGKILL at every system call of a process that keeps budgets, a file system that is full, and one
// that is read-only.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "common/unique_fd.h"
#include "supervisor/budget/budget_book.h"
#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kTest[] = "uplink";
const OwnTestBudget kBudget{.bytes = 10'000, .per = std::chrono::hours(24)};
constexpr std::uint64_t kBefore = 50;  // used by an earlier test
constexpr std::uint64_t kWorstCase = 1000;
constexpr std::uint64_t kTransferred = 300;

// What the process says when a step is done.
constexpr char kReserved = 'r';
constexpr char kSettled = 's';

// One test of an exporter. Says on `fd` what is done. Does not return.
[[noreturn]] void RunTest(const std::string& path, int fd) {
  auto directory = StateDirectory::Open(path);
  if (!directory) ::_exit(1);
  BudgetBook book(std::move(*directory));
  if (!book.Reserve(1, kTest, kBudget, kWorstCase)) ::_exit(1);
  if (::write(fd, &kReserved, 1) != 1) ::_exit(1);
  if (!book.Settle(1, kTransferred)) ::_exit(1);
  if (::write(fd, &kSettled, 1) != 1) ::_exit(1);
  ::_exit(0);
}

struct TracedRun {
  std::vector<long> calls;  // that began
  std::string said;
  bool was_killed = false;
};

// Runs a test and kills its process at the `kill_at`-th stop: each call has one before and one
// after it.
TracedRun RunTestUntil(const std::string& path, int kill_at) {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd from(fds[0]);
  UniqueFd to(fds[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    static_cast<void>(::raise(SIGSTOP));
    RunTest(path, to.get());
  }
  to.Reset();
  TracedRun run;
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  for (int stops = 0;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) break;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      run.calls.push_back(static_cast<long>(info.entry.nr));
    }
    if (++stops == kill_at) {
      ::kill(child, SIGKILL);
      EXPECT_EQ(::waitpid(child, &status, 0), child);
      run.was_killed = true;
      break;
    }
  }
  char buffer[8];
  const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
  if (got > 0) run.said.assign(buffer, static_cast<std::size_t>(got));
  return run;
}

std::uint64_t UsedIn(const std::string& path) {
  BudgetBook book(StateDirectory::Open(path).value());
  const auto state = book.Look(kTest, kBudget);
  EXPECT_TRUE(state) << state.error().message;
  return state ? state->used_bytes : 0;
}

void UseBefore(const std::string& path) {
  BudgetBook book(StateDirectory::Open(path).value());
  ASSERT_TRUE(book.Reserve(1, kTest, kBudget, kBefore).value().is_reserved);
}

TEST(BudgetCrashTest, AKillAtAnyCallLosesLessThanOneTest) {
  int kills = 0;
  std::map<std::uint64_t, int> outcomes;
  for (int kill_at = 1;; ++kill_at) {
    const TemporaryDirectory temporary;
    UseBefore(temporary.path());
    const TracedRun run = RunTestUntil(temporary.path(), kill_at);
    const std::uint64_t used = UsedIn(temporary.path());
    ++outcomes[used];
    // Never fewer bytes than were transferred, and at most the worst case more.
    const bool may_have_begun = run.said.find(kReserved) != std::string::npos;
    if (run.said.find(kSettled) != std::string::npos) {
      EXPECT_EQ(used, kBefore + kTransferred) << kill_at;
    } else if (may_have_begun) {
      EXPECT_TRUE(used == kBefore + kWorstCase || used == kBefore + kTransferred)
          << kill_at << ": " << used;
    } else {
      EXPECT_TRUE(used == kBefore || used == kBefore + kWorstCase) << kill_at << ": " << used;
    }
    if (!run.was_killed) break;
    ASSERT_LT(++kills, 1000);
  }
  EXPECT_GE(kills, 30);
  EXPECT_EQ(outcomes.size(), 3U);
}

// The order that a crash of the machine needs: the file is on the disk before its name changes, and
// the name before the test starts.
TEST(BudgetCrashTest, WritesInTheOrderThatACrashOfTheMachineNeeds) {
  const TemporaryDirectory temporary;
  UseBefore(temporary.path());
  const TracedRun run = RunTestUntil(temporary.path(), 0);
  EXPECT_EQ(run.said, "rs");
  std::vector<long> calls;
  for (const long call : run.calls) {
    if (call == SYS_write || call == SYS_fsync || call == SYS_renameat || call == SYS_renameat2) {
      calls.push_back(call == SYS_renameat2 ? SYS_renameat : call);
    }
  }
  EXPECT_THAT(calls, ElementsAre(SYS_write, SYS_fsync, SYS_renameat, SYS_fsync, SYS_write,  //
                                 SYS_write, SYS_fsync, SYS_renameat, SYS_fsync, SYS_write));
}

// A file system of `bytes` in a mount namespace of this process.
class SmallFileSystem {
 public:
  explicit SmallFileSystem(const std::string& options) {
    EXPECT_EQ(::unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    EXPECT_EQ(
        ::mount("tmpfs", temporary_.path().c_str(), "tmpfs", 0, (options + ",mode=0700").c_str()),
        0);
  }
  ~SmallFileSystem() { ::umount2(temporary_.path().c_str(), MNT_DETACH); }
  [[nodiscard]] std::string path() const { return temporary_.path(); }

 private:
  TemporaryDirectory temporary_;
};

TEST(BudgetCrashTest, AFullFileSystemStopsTheTestAndKeepsWhatWasUsed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const SmallFileSystem disk("size=16k");
  BudgetBook book(StateDirectory::Open(disk.path()).value());
  ASSERT_TRUE(book.Reserve(1, kTest, kBudget, 100).value().is_reserved);
  ASSERT_TRUE(book.Reserve(2, kTest, kBudget, 1000).value().is_reserved);
  const std::string filler = disk.path() + "/filler";
  std::ofstream(filler) << std::string(1 << 20, 'x');
  const auto reserved = book.Reserve(3, kTest, kBudget, 100);
  ASSERT_FALSE(reserved);
  EXPECT_THAT(reserved.error().message, HasSubstr("uplink.budget: write: No space left"));
  // A test that runs meanwhile counts in this process; on the disk, with its worst case.
  EXPECT_FALSE(book.Settle(2, 200));
  EXPECT_EQ(book.Look(kTest, kBudget).value().used_bytes, 300U);
  std::filesystem::remove(filler);
  ASSERT_TRUE(book.Reserve(4, kTest, kBudget, 7).value().is_reserved);
  std::filesystem::copy(disk.path() + "/uplink.budget", disk.path() + "/copy");
  std::ifstream in(disk.path() + "/copy");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(BudgetState::Parse(text, kTest, ReadClocks()).value().used_bytes(), 307U);
}

TEST(BudgetCrashTest, AReadOnlyFileSystemIsNoticedAtTheStart) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const SmallFileSystem disk("size=16k,ro");
  EXPECT_THAT(StateDirectory::Open(disk.path()).error().message,
              HasSubstr("Read-only file system"));
}

}  // namespace
}  // namespace iperf3_exporter
