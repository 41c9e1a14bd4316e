// The lock between processes: deaths, leftovers, fairness, and the torture program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "common/lock/record_lock.h"
#include "common/unique_fd.h"
#include "tests/common/lock/lock_fixture.h"
#include "tests/emulation.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLongEnough{60};  // for a loaded machine; never waited for in full

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    reader.Reset(ends[0]);
    writer.Reset(ends[1]);
  }
  void Notify() const { static_cast<void>(!::write(writer.get(), "x", 1)); }
  // False: the other side was closed.
  bool Wait() {
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

class LockProcessTest : public LockFixture {
 protected:
  // In a child: acquires the lock, notifies, and keeps it.
  void HoldUntilKilled(const Pipe& pipe) const {
    const auto lock = Open();
    const auto held =
        lock->Acquire(kKey, {.target = "victim.example", .port = 7}, In(kLongEnough), -1);
    if (held) pipe.Notify();
    for (;;) ::pause();
  }
};

TEST_F(LockProcessTest, KilledHolderNeedsNoCleanUp) {
  const auto lock = Open();
  const LockMonitor monitor = OpenMonitor();
  for (int round = 1; round <= 5; ++round) {
    Pipe holds;
    Child holder([&] { HoldUntilKilled(holds); });
    ASSERT_TRUE(holds.Wait());
    EXPECT_EQ(ErrorOf(lock->Acquire(kKey, kNobody, In(milliseconds(1)), -1)),
              AcquireError::kTimeout);
    const auto shown = monitor.Read().holders;
    ASSERT_TRUE(shown.size() == 1 && shown[0]);
    EXPECT_TRUE(shown[0]->ours);
    EXPECT_EQ(shown[0]->target, "victim.example");
    holder.Kill();
    EXPECT_TRUE(monitor.Read().holders.empty());
    const auto next = lock->Acquire(kKey, kNobody, In(kLongEnough), -1);
    ASSERT_TRUE(next);
    EXPECT_TRUE(next->recovered());
    EXPECT_EQ(monitor.Read().recoveries, static_cast<std::uint64_t>(round));
  }
}

// Its worker terminates iperf3 and releases in order, but the test is lost anyway.
TEST_F(LockProcessTest, DeathOfTheHoldersExporterIsARecovery) {
  Pipe holds;
  Pipe released;
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  Child exporter([&] {
    if (::fork() == 0) {
      const auto lock = Open();
      auto held = lock->Acquire(kKey, kNobody, In(kLongEnough), -1);
      const pid_t exporter_pid = ::getppid();
      holds.Notify();
      while (::getppid() == exporter_pid) ::usleep(1000);
      held->Release();
      released.Notify();
      ::_exit(0);
    }
    for (;;) ::pause();
  });
  ASSERT_TRUE(holds.Wait());
  exporter.Kill();
  ASSERT_TRUE(released.Wait());
  const auto lock = Open();
  const auto next = lock->Acquire(kKey, kNobody, In(kLongEnough), -1);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->recovered());
  EXPECT_GT(::waitpid(-1, nullptr, 0), 0) << "the worker";
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(LockProcessTest, WaiterProceedsWhenTheHolderDies) {
  Pipe holds;
  Child holder([&] { HoldUntilKilled(holds); });
  ASSERT_TRUE(holds.Wait());
  Pipe has;
  Child waiter([&] { HoldUntilKilled(has); });
  holder.Kill();
  EXPECT_TRUE(has.Wait());
}

TEST_F(LockProcessTest, StoppedHolderStaysTheHolder) {
  Pipe holds;
  Child holder([&] { HoldUntilKilled(holds); });
  ASSERT_TRUE(holds.Wait());
  holder.Signal(SIGSTOP);
  const auto lock = Open();
  EXPECT_EQ(ErrorOf(lock->Acquire(kKey, kNobody, In(milliseconds(50)), -1)),
            AcquireError::kTimeout);
  holder.Kill();
  EXPECT_TRUE(lock->Acquire(kKey, kNobody, In(kLongEnough), -1));
}

// A worker is killed while its iperf3, a real exec'd process, still runs.
TEST_F(LockProcessTest, LockOutlivesTheWorkerUntilItsIperf3Ends) {
  Pipe started;
  Pipe alive;  // ends the exec'd process
  Child worker([&] {
    const auto lock = Open();
    const auto held = lock->Acquire(kKey, kNobody, In(kLongEnough), -1);
    if (::fork() == 0) {
      ::dup2(held->lease_fd(), STDIN_FILENO);
      ::fcntl(started.writer.get(), F_SETFD, 0);
      ::fcntl(alive.reader.get(), F_SETFD, 0);
      const std::string say = "echo x >&" + std::to_string(started.writer.get());
      const std::string wait = "; read line <&" + std::to_string(alive.reader.get());
      ::execl("/bin/sh", "sh", "-c", (say + wait).c_str(), nullptr);
    }
    for (;;) ::pause();
  });
  char said = 0;
  ASSERT_EQ(::read(started.reader.get(), &said, 1), 1);
  worker.Kill();
  const auto lock = Open();
  EXPECT_EQ(ErrorOf(lock->Acquire(kKey, kNobody, In(milliseconds(50)), -1)),
            AcquireError::kTimeout);
  alive.writer.Reset();  // the shell reads end of file and ends
  EXPECT_TRUE(lock->Acquire(kKey, kNobody, In(kLongEnough), -1));
}

// The kernel closes the descriptors of a killed process last in, first out. The lease is the lowest
// descriptor, so when it ends no connection is open. With a lease above them most connections would
// still be open.
TEST_F(LockProcessTest, TheLeaseOfAKilledProcessEndsAfterItsConnections) {
  constexpr std::size_t kConnections = 400;
  constexpr int kRounds = 10;
  const auto watcher = OpenLockFile(LockFile::kLock, name_, kScope, O_RDONLY);
  ASSERT_TRUE(watcher);
  for (int round = 0; round < kRounds; ++round) {
    Pipe holds;
    std::vector<pollfd> peers(kConnections);
    std::vector<UniqueFd> ours;
    std::vector<UniqueFd> theirs;
    for (pollfd& peer : peers) {
      int pair[2];
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
      ours.emplace_back(pair[0]);
      theirs.emplace_back(pair[1]);
      peer = {.fd = pair[0], .events = 0, .revents = 0};
    }
    Child iperf3([&] {
      {
        const auto lock = Open();
        auto held = lock->Acquire(kKey, kNobody, In(kLongEnough), -1);
        ::dup2(held->lease_fd(), STDIN_FILENO);
        ours.clear();
        Abandon(std::move(*held));
      }
      holds.Notify();
      for (;;) ::pause();
    });
    theirs.clear();
    ASSERT_TRUE(holds.Wait());
    const std::int64_t lease = OffsetOf(LockRole::kLease, kKey);
    ASSERT_TRUE(IsLocked(watcher->get(), lease));
    iperf3.Signal(SIGKILL);
    while (IsLocked(watcher->get(), lease)) {
    }
    EXPECT_EQ(::poll(peers.data(), peers.size(), 0), static_cast<int>(kConnections));
  }
}

TEST_F(LockProcessTest, KillDuringCreationLeavesNoPartialFile) {
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
      runs.Notify();
      for (;;) {
        if (!CreateLockFiles(name, kScope)) ::_exit(1);
        for (const auto& file : files()) ::unlink(file.c_str());
      }
    });
    ASSERT_TRUE(runs.Wait());
    std::this_thread::sleep_for(std::chrono::microseconds(round * 17));  // another instruction
    creator.Kill();
    ASSERT_TRUE(CreateLockFiles(name, kScope));
    ASSERT_EQ(files().size(), 3U);
    ASSERT_TRUE(HostLock::Open(name, kScope));
    for (const auto& file : files()) ASSERT_EQ(std::filesystem::hard_link_count(file), 1U) << file;
  }
  RemoveLockFiles(name, kScope);
}

TEST_F(LockProcessTest, ConcurrentCreatorsAgreeOnTheFiles) {
  const std::string name = name_ + ".race";
  for (int round = 0; round < 20; ++round) {
    Pipe start;
    Pipe found;
    const auto create = [&] {
      start.Wait();
      if (!CreateLockFiles(name, kScope)) ::_exit(1);
      for (const LockFile file : kLockFiles) {
        const auto fd = OpenLockFile(file, name, kScope, O_RDONLY);
        struct stat info = {};
        if (!fd || ::fstat(fd->get(), &info) != 0) ::_exit(1);
        static_cast<void>(!::write(found.writer.get(), &info.st_ino, sizeof info.st_ino));
      }
    };
    Child first(create);
    Child second(create);
    Child third(create);
    start.writer.Reset();
    first.Join();
    second.Join();
    third.Join();
    found.writer.Reset();
    std::array<ino_t, 10> inodes{};
    ASSERT_EQ(::read(found.reader.get(), inodes.data(), sizeof inodes), ssize_t{9 * sizeof(ino_t)});
    EXPECT_EQ(std::set<ino_t>(inodes.begin(), inodes.begin() + 9).size(), 3U);
    RemoveLockFiles(name, kScope);
  }
}

// Two busy instances share the lock evenly.
TEST_F(LockProcessTest, AlternatesBetweenTwoBusyInstances) {
  constexpr int kTests = 120;
  using Counts = std::array<std::atomic<int>, 2>;
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* counts = new (memory) Counts{};
  const auto work = [&](std::size_t self) {
    const auto lock = Open();
    while ((*counts)[0] + (*counts)[1] < kTests) {
      auto held = lock->Acquire(kKey, kNobody, In(kLongEnough), -1);
      ++(*counts)[self];
      std::this_thread::sleep_for(milliseconds(10));  // the test
      held->Release();
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
  const std::string command = BuiltProgram("lock_torture ") + arguments;
  return std::system((command + (IsEmulated() ? " --untimed" : "")).c_str());
}

TEST(LockTortureTest, HoldsUnderKillsAndStops) { EXPECT_EQ(RunTorture("--seconds=5"), 0); }

TEST(LockTortureTest, HoldsWithManyKeys) { EXPECT_EQ(RunTorture("--seconds=5 --keys=8"), 0); }

TEST(LockTortureTest, HoldsWhenItsFilesAreDeleted) {
  EXPECT_EQ(RunTorture("--seconds=10 --unlink"), 0);
}

}  // namespace
}  // namespace iperf3_exporter
