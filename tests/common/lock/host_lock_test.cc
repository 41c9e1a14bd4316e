// The lock inside one process: open file descriptions exclude each other as they do between
// processes.
#include "common/lock/host_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "common/lock/record_lock.h"
#include "tests/common/lock/lock_fixture.h"
#include "tests/emulation.h"

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class HostLockTest : public LockFixture {
 protected:
  // The semaphore as any other program sees it.
  [[nodiscard]] sem_t* OpenSemaphore() const {
    sem_t* semaphore = ::sem_open(("/" + WakeupMutexName(name_, kScope)).c_str(), 0);
    EXPECT_NE(semaphore, SEM_FAILED);
    return semaphore;
  }
};

TEST_F(HostLockTest, ExcludesAnotherUntilReleased) {
  const auto first = Open();
  const auto second = Open();
  auto held = first->Acquire(kKey, kNobody, In(seconds(10)), -1);
  ASSERT_TRUE(held);
  EXPECT_FALSE(held->recovered());
  EXPECT_EQ(ErrorOf(second->Acquire(kKey, kNobody, Past(), -1)), AcquireError::kTimeout);
  const Deadline limit = In(milliseconds(30));
  EXPECT_EQ(ErrorOf(second->Acquire(kKey, kNobody, limit, -1)), AcquireError::kTimeout);
  EXPECT_GE(Clock::now(), limit);
  held->Release();
  const auto next = second->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->recovered());
}

TEST_F(HostLockTest, KeepsKeysApart) {
  const auto first = Open();
  const auto second = Open();
  {
    const auto one = first->Acquire(MakeLockKey("one"), kNobody, Past(), -1);
    ASSERT_TRUE(one);
    EXPECT_TRUE(second->Acquire(MakeLockKey("other"), kNobody, Past(), -1));
    EXPECT_FALSE(second->Acquire(MakeLockKey("one"), kNobody, Past(), -1));
  }
  const auto last = first->Acquire(kMaxLockKey, kNobody, Past(), -1);
  ASSERT_TRUE(last);
  EXPECT_TRUE(second->Acquire(kMaxLockKey - 1, kNobody, Past(), -1));
  EXPECT_TRUE(second->Acquire(1, kNobody, Past(), -1));
}

TEST_F(HostLockTest, EndsTheWaitWhenCancelled) {
  const auto first = Open();
  const auto second = Open();
  const auto held = first->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd reader(sockets[0]);
  UniqueFd writer(sockets[1]);
  ASSERT_EQ(::send(writer.get(), "x", 1, 0), 1);
  EXPECT_EQ(ErrorOf(second->Acquire(kKey, kNobody, In(hours(1)), reader.get())),
            AcquireError::kCancelled);
  char byte = 0;
  ASSERT_EQ(::recv(reader.get(), &byte, 1, 0), 1) << "the frame is the caller's to read";
  writer.Reset();
  EXPECT_EQ(ErrorOf(second->Acquire(kKey, kNobody, In(hours(1)), reader.get())),
            AcquireError::kCancelled);
}

TEST_F(HostLockTest, TakesOverFromADeadHolderAndCountsOneRecovery) {
  const LockMonitor monitor = OpenMonitor();
  {
    const auto dying = Open();
    auto held = dying->Acquire(kKey, kNobody, Past(), -1);
    ASSERT_TRUE(held);
    Abandon(std::move(*held));
  }
  const auto next = Open();
  const LockKey same_slot = kKey + kHolderSlots;
  EXPECT_FALSE(next->Acquire(kKey + 1, kNobody, Past(), -1)->recovered()) << "another key";
  auto taken = next->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(taken->recovered());
  EXPECT_FALSE(next->Acquire(same_slot, kNobody, Past(), -1)->recovered());
  taken->Release();
  EXPECT_FALSE(next->Acquire(kKey, kNobody, Past(), -1)->recovered());
  EXPECT_EQ(monitor.Read().recoveries, 1U);
}

// Processor time of this process.
std::chrono::nanoseconds ProcessorTime() {
  timespec time = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

TEST_F(HostLockTest, StrayPostsNeitherAdmitNorSpin) {
  const auto first = Open();
  const auto second = Open();
  sem_t* semaphore = OpenSemaphore();
  auto held = first->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  for (int i = 0; i < 100'000; ++i) ::sem_post(semaphore);
  const auto before = ProcessorTime();
  EXPECT_EQ(ErrorOf(second->Acquire(kKey, kNobody, In(milliseconds(300)), -1)),
            AcquireError::kTimeout);
  const auto used = ProcessorTime() - before;
  EXPECT_TRUE(IsEmulated() || used < milliseconds(100)) << used.count();
  held->Release();
  EXPECT_TRUE(second->Acquire(kKey, kNobody, Past(), -1));
  ::sem_close(semaphore);
}

TEST_F(HostLockTest, PostsOnceUntilSomebodyWakes) {
  const auto lock = Open();
  sem_t* semaphore = OpenSemaphore();
  while (::sem_trywait(semaphore) == 0) {
  }
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(lock->Acquire(kKey, kNobody, Past(), -1));
  int posts = 0;
  ::sem_getvalue(semaphore, &posts);
  EXPECT_EQ(posts, 1);
  ::sem_close(semaphore);
}

// A post for another waiter is still available afterwards.
TEST_F(HostLockTest, PassesOnAnUnneededWakeup) {
  const auto holder = Open();
  const auto waiter = Open();
  const auto held = holder->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  sem_t* semaphore = OpenSemaphore();
  while (::sem_trywait(semaphore) == 0) {
  }
  ::sem_post(semaphore);
  // Times out during its first pause.
  EXPECT_FALSE(waiter->Acquire(kKey, kNobody, In(std::chrono::microseconds(700)), -1));
  int posts = 0;
  ::sem_getvalue(semaphore, &posts);
  EXPECT_EQ(posts, 1);
  ::sem_close(semaphore);
}

// Otherwise it would circulate among the waiters until the next release.
TEST_F(HostLockTest, ConsumesAWakeupThatComesBack) {
  const auto holder = Open();
  const auto waiter = Open();
  const auto held = holder->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  sem_t* semaphore = OpenSemaphore();
  ::sem_post(semaphore);
  int posts = 1;
  for (const Deadline end = In(seconds(10)); posts != 0 && Clock::now() < end;) {
    EXPECT_FALSE(waiter->Acquire(kKey, kNobody, In(milliseconds(20)), -1));
    ::sem_getvalue(semaphore, &posts);
  }
  EXPECT_EQ(posts, 0);
  ::sem_close(semaphore);
}

TEST_F(HostLockTest, WaitsForTheLeaseOfADeadHolder) {
  UniqueFd iperf3;  // as a child that outlives the worker
  {
    const auto dying = Open();
    auto held = dying->Acquire(kKey, kNobody, Past(), -1);
    iperf3.Reset(::fcntl(held->lease_fd(), F_DUPFD_CLOEXEC, 0));
    Abandon(std::move(*held));
  }
  const auto next = Open();
  EXPECT_EQ(ErrorOf(next->Acquire(kKey, kNobody, In(milliseconds(30)), -1)),
            AcquireError::kTimeout);
  EXPECT_TRUE(next->Acquire(kKey + 1, kNobody, Past(), -1)) << "another key";
  iperf3.Reset();
  EXPECT_TRUE(Open()->Acquire(kKey, kNobody, Past(), -1)) << "who gave up left the key to others";
  EXPECT_TRUE(next->Acquire(kKey, kNobody, Past(), -1));
}

TEST_F(HostLockTest, ReleaseEndsTheLeaseForInheritedCopies) {
  const auto first = Open();
  const auto second = Open();
  auto held = first->Acquire(kKey, kNobody, Past(), -1);
  const UniqueFd copy(::fcntl(held->lease_fd(), F_DUPFD_CLOEXEC, 0));
  held->Release();
  EXPECT_TRUE(second->Acquire(kKey, kNobody, Past(), -1));
}

TEST_F(HostLockTest, LeaseDescriptorIsReadOnly) {
  const auto lock = Open();
  const auto held = lock->Acquire(kKey, kNobody, Past(), -1);
  const int fd = held->lease_fd();
  EXPECT_EQ(::fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(TryLock(fd, OffsetOf(LockRole::kTurnstile, kKey), F_WRLCK));
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(HeldLock().lease_fd(), -1);
}

struct OpenFile {
  int fd;
  int mode;
};

// The open descriptors of this process on the file.
std::vector<OpenFile> DescriptorsOn(const std::string& path) {
  std::vector<OpenFile> found;
  struct stat file = {};
  if (::stat(path.c_str(), &file) != 0) return found;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat info = {};
    if (::fstat(fd, &info) != 0 || info.st_ino != file.st_ino || info.st_dev != file.st_dev) {
      continue;
    }
    found.push_back({fd, ::fcntl(fd, F_GETFL) & O_ACCMODE});
  }
  return found;
}

TEST_F(HostLockTest, KeepsNoDescriptorThatCanTruncateAMappedFile) {
  const auto lock = Open();
  EXPECT_TRUE(DescriptorsOn(Path(LockFile::kWakeup)).empty());
  const auto table = DescriptorsOn(Path(LockFile::kHolders));
  ASSERT_EQ(table.size(), 1U);
  EXPECT_EQ(table[0].mode, O_RDONLY);
}

TEST_F(HostLockTest, KeepsItsDescriptorsAboveLowestFd) {
  constexpr int kLowest = 300;
  const auto lock = HostLock::Open(name_, kScope, kLowest);
  ASSERT_TRUE(lock) << lock.error().message;
  const auto held = (*lock)->Acquire(kKey, kNobody, Past(), -1);
  EXPECT_EQ(held->lease_fd(), kLowest);
  std::size_t count = 0;
  for (const LockFile file : kLockFiles) {
    for (const OpenFile& open : DescriptorsOn(Path(file))) {
      EXPECT_GE(open.fd, kLowest);
      EXPECT_NE(::fcntl(open.fd, F_GETFD) & FD_CLOEXEC, 0);
      ++count;
    }
  }
  EXPECT_EQ(count, 3U);
}

TEST_F(HostLockTest, NoticesADeletedLockOrTable) {
  for (const LockFile file : {LockFile::kLock, LockFile::kHolders}) {
    const auto idle = Open();
    const LockMonitor monitor = OpenMonitor();
    EXPECT_FALSE(monitor.NeedsRepair());
    ASSERT_EQ(::unlink(Path(file).c_str()), 0);
    EXPECT_TRUE(monitor.NeedsRepair());
    EXPECT_EQ(ErrorOf(idle->Acquire(kKey, kNobody, In(hours(1)), -1)), AcquireError::kLockGone);
    ASSERT_TRUE(CreateLockFiles(name_, kScope));
    EXPECT_TRUE(monitor.NeedsRepair());
    EXPECT_EQ(ErrorOf(idle->Acquire(kKey, kNobody, In(hours(1)), -1)), AcquireError::kLockGone);
    EXPECT_TRUE(Open()->Acquire(kKey, kNobody, Past(), -1));
  }
}

TEST_F(HostLockTest, ExcludesEvenIfTheMutexIsDeleted) {
  const auto first = Open();
  const LockMonitor monitor = OpenMonitor();
  ASSERT_EQ(::unlink(Path(LockFile::kWakeup).c_str()), 0);
  EXPECT_TRUE(monitor.NeedsRepair());
  ASSERT_TRUE(CreateLockFiles(name_, kScope));
  EXPECT_FALSE(monitor.NeedsRepair());
  const auto second = Open();  // with another mutex
  const auto held = first->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  EXPECT_EQ(ErrorOf(second->Acquire(kKey, kNobody, In(milliseconds(50)), -1)),
            AcquireError::kTimeout);
}

TEST_F(HostLockTest, WaiterNoticesTheDeletionWhileTheKeyIsHeld) {
  const auto holder = Open();
  const auto waiter = Open();
  const auto held = holder->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  ASSERT_EQ(::unlink(Path(LockFile::kLock).c_str()), 0);
  EXPECT_EQ(ErrorOf(waiter->Acquire(kKey, kNobody, In(hours(1)), -1)), AcquireError::kLockGone);
}

TEST_F(HostLockTest, ASleepingWaiterNoticesTheDeletion) {
  const auto holder = Open();
  const auto waiter = Open();
  const auto held = holder->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  // So that the waiter sleeps until somebody posts.
  while (::sem_trywait(OpenSemaphore()) == 0) {
  }
  std::promise<pid_t> thread;
  auto error = std::async(std::launch::async, [&] {
    thread.set_value(::gettid());
    return ErrorOf(waiter->Acquire(kKey, kNobody, In(hours(1)), -1));
  });
  const std::string state =
      "/proc/self/task/" + std::to_string(thread.get_future().get()) + "/stat";
  for (std::string line; line.find(") S ") == std::string::npos;) {
    std::ifstream file(state);
    std::getline(file, line);
  }
  ASSERT_EQ(::unlink(Path(LockFile::kLock).c_str()), 0);
  EXPECT_EQ(error.get(), AcquireError::kLockGone);
}

TEST_F(HostLockTest, HundredTargetsDoNotWaitForEachOther) {
  std::vector<std::unique_ptr<HostLock>> workers;
  std::vector<HeldLock> held;
  for (int i = 0; i < 100; ++i) {
    const std::string target = "192.0.2." + std::to_string(i);
    const LockKey key = MakeLockKey("target " + target + " 5201");
    workers.push_back(Open());
    auto lock = workers.back()->Acquire(key, {.target = target, .port = 5201}, Past(), -1);
    ASSERT_TRUE(lock) << target;
    held.push_back(std::move(*lock));
  }
  const auto status = OpenMonitor().Read();
  EXPECT_EQ(status.holders.size(), 100U);
  for (const auto& holder : status.holders) EXPECT_TRUE(holder.has_value());
}

}  // namespace
}  // namespace iperf3_exporter
