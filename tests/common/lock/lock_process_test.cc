// The lock between processes: deaths, leftovers, fairness, and the torture program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>

#include "common/lock/lock_board.h"
#include "common/lock/lock_objects.h"
#include "common/lock/lock_table.h"
#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const LockUse kUse{};
constexpr seconds kLongEnough{60};  // for a loaded machine; never waited for in full

Deadline In(std::chrono::nanoseconds time) { return Clock::now() + time; }

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    reader.Reset(ends[0]);
    writer.Reset(ends[1]);
  }
  void Tell() const { static_cast<void>(!::write(writer.get(), "x", 1)); }
  // False: the other side is gone.
  bool Hear() {
    writer.Reset();
    char byte = 0;
    return ::read(reader.get(), &byte, 1) == 1;
  }
  UniqueFd reader;
  UniqueFd writer;
};

// A child of this test; killed and reaped with the object.
class Child {
 public:
  explicit Child(const std::function<void()>& run) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    run();
    ::_exit(0);
  }
  ~Child() { Kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    Join();
  }
  void Join() {
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void Signal(int number) const { ::kill(pid_, number); }

 private:
  pid_t pid_;
};

class LockProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(CreateLockObjects(name_, 1)); }
  void TearDown() override {
    ::unlink(LockMutexPath(name_, 1, 0).c_str());
    ::unlink(LockBoardPath(name_, 1).c_str());
  }

  LockTable Open() const {
    auto table = LockTable::Open(name_, 1);
    if (!table) throw std::runtime_error(table.error().message);
    return std::move(*table);
  }

  // In a child: takes the lock, says so, and stays.
  void HoldForEver(const Pipe& pipe) const {
    LockTable table = Open();
    const AcquireResult held =
        table.Acquire(0, {.target = "victim.example", .port = 7}, In(kLongEnough), -1);
    if (held.lock) pipe.Tell();
    for (;;) ::pause();
  }

  const std::string name_ = "lock_process_test." + std::to_string(::getpid());
};

TEST_F(LockProcessTest, KilledHolderIsFollowedWithoutCleaningUp) {
  LockTable table = Open();
  auto board = LockBoard::Open(name_, 1);
  ASSERT_TRUE(board);
  for (int round = 1; round <= 5; ++round) {
    Pipe holds;
    Child holder([&] { HoldForEver(holds); });
    ASSERT_TRUE(holds.Hear());
    EXPECT_EQ(table.Acquire(0, kUse, In(milliseconds(1)), -1).outcome, AcquireOutcome::kTimeout);
    const auto shown = board->Read(0);
    ASSERT_TRUE(shown);
    EXPECT_TRUE(shown->ours);
    EXPECT_EQ(shown->target, "victim.example");
    holder.Kill();
    EXPECT_FALSE(board->Read(0));
    const AcquireResult next = table.Acquire(0, kUse, In(kLongEnough), -1);
    EXPECT_EQ(next.outcome, AcquireOutcome::kAcquired);
    EXPECT_TRUE(next.recovered);
    EXPECT_EQ(board->recoveries(), static_cast<std::uint64_t>(round));
  }
}

TEST_F(LockProcessTest, WaiterProceedsWhenTheHolderDiesUnderIt) {
  Pipe holds;
  Child holder([&] { HoldForEver(holds); });
  ASSERT_TRUE(holds.Hear());
  Pipe has;
  Child waiter([&] { HoldForEver(has); });
  holder.Kill();
  EXPECT_TRUE(has.Hear());
}

TEST_F(LockProcessTest, StoppedHolderStaysTheHolder) {
  Pipe holds;
  Child holder([&] { HoldForEver(holds); });
  ASSERT_TRUE(holds.Hear());
  holder.Signal(SIGSTOP);
  LockTable table = Open();
  EXPECT_EQ(table.Acquire(0, kUse, In(milliseconds(50)), -1).outcome, AcquireOutcome::kTimeout);
  holder.Kill();
  EXPECT_TRUE(table.Acquire(0, kUse, In(kLongEnough), -1).lock);
}

// A worker is killed while its iperf3, a real exec'd process, still runs.
TEST_F(LockProcessTest, OutlivesTheWorkerUntilItsIperf3IsGone) {
  Pipe started;
  Pipe alive;  // its read end sees the end of the exec'd process
  Child worker([&] {
    LockTable table = Open();
    const AcquireResult held = table.Acquire(0, kUse, In(kLongEnough), -1);
    if (::fork() == 0) {
      ::fcntl(held.lock.tenant_fd(), F_SETFD, 0);
      ::fcntl(started.writer.get(), F_SETFD, 0);
      ::dup2(alive.reader.get(), STDIN_FILENO);
      const std::string say = "echo x >&" + std::to_string(started.writer.get());
      ::execl("/bin/sh", "sh", "-c", (say + "; read line").c_str(), nullptr);
    }
    for (;;) ::pause();
  });
  char said = 0;
  ASSERT_EQ(::read(started.reader.get(), &said, 1), 1);
  worker.Kill();
  LockTable table = Open();
  EXPECT_EQ(table.Acquire(0, kUse, In(milliseconds(50)), -1).outcome, AcquireOutcome::kTimeout);
  alive.writer.Reset();  // the shell reads end of file and ends
  const AcquireResult next = table.Acquire(0, kUse, In(kLongEnough), -1);
  EXPECT_EQ(next.outcome, AcquireOutcome::kAcquired);
}

TEST_F(LockProcessTest, KillInsideCreationLeavesNothingHalf) {
  const std::string name = name_ + ".creation";
  const auto files = [&name] {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      const std::string file = entry.path().filename();
      if (file.find(name) != std::string::npos) found.push_back(entry.path());
    }
    return found;
  };
  for (int round = 0; round < 100; ++round) {
    Pipe runs;
    Child creator([&] {
      runs.Tell();
      for (;;) {
        if (!CreateLockObjects(name, 4)) ::_exit(1);
        for (const auto& file : files()) ::unlink(file.c_str());
      }
    });
    ASSERT_TRUE(runs.Hear());
    std::this_thread::sleep_for(std::chrono::microseconds(round * 17));  // another instruction
    creator.Kill();
    ASSERT_TRUE(CreateLockObjects(name, 4));
    ASSERT_EQ(files().size(), 5U);
    ASSERT_TRUE(LockTable::Open(name, 4));
    for (const auto& file : files()) ASSERT_EQ(std::filesystem::hard_link_count(file), 1U) << file;
  }
  for (const auto& file : files()) ::unlink(file.c_str());
}

TEST_F(LockProcessTest, CreatorsAtOnceMakeEachObjectOnce) {
  const std::string name = name_ + ".race";
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* made = new (memory) std::atomic<std::uint32_t>(0);
  {
    Pipe start;
    const auto create = [&] {
      start.Hear();
      const auto created = CreateLockObjects(name, 64);
      *made += created ? *created : 1000;
    };
    Child first(create);
    Child second(create);
    Child third(create);
    start.writer.Reset();
    first.Join();
    second.Join();
    third.Join();
  }
  EXPECT_EQ(*made, 65U);
  ::munmap(memory, 4096);
  for (std::uint32_t i = 0; i < 64; ++i) ::unlink(LockMutexPath(name, 64, i).c_str());
  ::unlink(LockBoardPath(name, 64).c_str());
}

// Two instances that always have work share it evenly.
TEST_F(LockProcessTest, AlternatesBetweenTwoWhoAlwaysHaveWork) {
  constexpr int kTests = 120;
  using Counts = std::array<std::atomic<int>, 2>;
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* counts = new (memory) Counts{};
  const auto work = [&](std::size_t self) {
    LockTable table = Open();
    while ((*counts)[0] + (*counts)[1] < kTests) {
      AcquireResult held = table.Acquire(0, kUse, In(kLongEnough), -1);
      ++(*counts)[self];
      std::this_thread::sleep_for(milliseconds(10));  // the test
      held.lock.Release();
    }
  };
  {
    Child first([&] { work(0); });
    Child second([&] { work(1); });
    first.Join();
    second.Join();
  }
  EXPECT_GE((*counts)[0] + (*counts)[1], kTests);
  EXPECT_GE((*counts)[0], kTests * 40 / 100);
  EXPECT_GE((*counts)[1], kTests * 40 / 100);
  ::munmap(memory, 4096);
}

int RunTorture(const std::string& arguments) {
  return std::system((std::string(TEST_BINARY_DIR "/lock_torture ") + arguments).c_str());
}

TEST(LockTortureTest, HoldsUnderKillsAndStops) { EXPECT_EQ(RunTorture("--seconds=5"), 0); }

TEST(LockTortureTest, HoldsWhenItsObjectsAreDeleted) {
  EXPECT_EQ(RunTorture("--seconds=10 --unlink"), 0);
}

}  // namespace
}  // namespace iperf3_exporter
