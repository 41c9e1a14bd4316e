// The lock inside one process: open file descriptions exclude each other here just as they
// do between processes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/sync/named_mutex.hpp>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/lock/board_memory.h"
#include "common/lock/byte_lock.h"
#include "common/lock/lock_board.h"
#include "common/lock/lock_objects.h"
#include "common/lock/lock_table.h"

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

const LockUse kNoUse{};

Deadline In(std::chrono::nanoseconds time) { return Clock::now() + time; }
Deadline Past() { return Clock::now() - seconds(1); }

void RemoveObjects(const std::string& name, std::uint32_t slots) {
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    ::unlink(LockMutexPath(name, slots, slot).c_str());
  }
  ::unlink(LockBoardPath(name, slots).c_str());
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Never releases it, as if the holder had been killed.
void Abandon(HeldLock lock) {
  alignas(HeldLock) static std::array<std::byte, sizeof(HeldLock)> grave;
  new (grave.data()) HeldLock(std::move(lock));
}

class LockTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(CreateLockObjects(name_, 1)); }
  void TearDown() override {
    RemoveObjects(name_, 1);
    RemoveObjects(name_, 3);
  }

  LockTable Open() {
    auto table = LockTable::Open(name_, 1);
    if (!table) throw std::runtime_error(table.error().message);
    return std::move(*table);
  }
  LockBoard OpenBoard() {
    auto board = LockBoard::Open(name_, 1);
    if (!board) throw std::runtime_error(board.error().message);
    return std::move(*board);
  }
  // The semaphore as any other program sees it.
  int MutexCount() {
    sem_t* semaphore = ::sem_open(("/" + name_).c_str(), 0);
    int count = -1;
    ::sem_getvalue(semaphore, &count);
    ::sem_close(semaphore);
    return count;
  }
  std::string mutex_path() const { return LockMutexPath(name_, 1, 0); }

  const std::string name_ = "lock_test." + std::to_string(::getpid());
};

TEST(LockNameTest, TakesTheDocumentedBytesOnly) {
  EXPECT_TRUE(IsLockName("iperf3_exporter"));
  EXPECT_TRUE(IsLockName("A.b-9_"));
  EXPECT_TRUE(IsLockName(std::string(kMaxLockNameBytes, 'x')));
  EXPECT_FALSE(IsLockName(""));
  EXPECT_FALSE(IsLockName(std::string(kMaxLockNameBytes + 1, 'x')));
  for (const char* bad : {"a/b", "a@b", "a b", "\xc3\xa4", "a\n"}) EXPECT_FALSE(IsLockName(bad));
}

TEST(LockNameTest, NamesNoFileTwice) {
  EXPECT_EQ(LockMutexPath("n", 1, 0), "/dev/shm/sem.n");
  EXPECT_EQ(LockMutexPath("n", 64, 7), "/dev/shm/sem.n@64-7");
  EXPECT_EQ(LockBoardPath("n", 1), "/dev/shm/n@board");
  EXPECT_EQ(LockBoardPath("n", 64), "/dev/shm/n@64-board");
}

// Exporters of two versions share these objects: the numbers may never change.
TEST(LockKeyTest, MapsAKeyToTheSameSlotForEver) {
  EXPECT_EQ(SlotForKey("", 64), 1U);
  EXPECT_EQ(SlotForKey("bind:192.0.2.1", 64), 58U);
  EXPECT_EQ(SlotForKey("target:192.0.2.1:5201", 64), 41U);
  EXPECT_EQ(SlotForKey("anything", 1), 0U);
}

TEST(LockKeyTest, SpreadsKeys) {
  std::array<int, 64> uses{};
  for (int i = 0; i < 6400; ++i) ++uses[SlotForKey("bind:10.0.0." + std::to_string(i), 64)];
  const auto [least, most] = std::ranges::minmax(uses);
  EXPECT_GT(least, 50);
  EXPECT_LT(most, 200);
}

TEST_F(LockTest, MakesWhatBoostWouldHaveMade) {
  namespace bip = boost::interprocess;
  const std::string theirs = name_ + ".boost";
  bip::named_mutex::remove(theirs.c_str());
  { const bip::named_mutex mutex(bip::create_only, theirs.c_str()); }
  EXPECT_EQ(ReadFile(mutex_path()), ReadFile("/dev/shm/sem." + theirs));
  bip::named_mutex::remove(theirs.c_str());
}

TEST_F(LockTest, CreatesOnceWithOwnersModeWhateverTheUmask) {
  const auto again = CreateLockObjects(name_, 1);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, 0U);
  const mode_t old_umask = ::umask(0777);
  const auto three = CreateLockObjects(name_, 3);
  ::umask(old_umask);
  ASSERT_TRUE(three) << three.error().message;
  EXPECT_EQ(*three, 4U);
  for (const auto& path : {LockMutexPath(name_, 3, 2), LockBoardPath(name_, 3)}) {
    struct stat info = {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    EXPECT_EQ(info.st_nlink, 1U);
  }
}

TEST_F(LockTest, RefusesWhatItCanNotTrustAndNamesIt) {
  const auto expect_refusal = [this](const char* why) {
    const auto names_file = AllOf(HasSubstr(mutex_path()), HasSubstr(why));
    const auto created = CreateLockObjects(name_, 1);
    ASSERT_FALSE(created) << why;
    EXPECT_THAT(created.error().message, names_file);
    const auto table = LockTable::Open(name_, 1);
    ASSERT_FALSE(table) << why;
    EXPECT_THAT(table.error().message, names_file);
  };
  const std::string path = mutex_path();
  ASSERT_EQ(::chmod(path.c_str(), 0660), 0);
  expect_refusal("mode 0600");
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  const std::string second = path + ".second";
  ASSERT_EQ(::link(path.c_str(), second.c_str()), 0);
  expect_refusal("second name");
  ASSERT_EQ(::unlink(second.c_str()), 0);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
  expect_refusal("");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_refusal("regular");
}

TEST_F(LockTest, ReplacesItsOwnObjectOfAnotherSize) {
  for (const auto& path : {mutex_path(), LockBoardPath(name_, 1)}) {
    for (const off_t size : {0, 5, 100'000}) {
      ASSERT_EQ(::truncate(path.c_str(), size), 0);
      const auto table = LockTable::Open(name_, 1);
      ASSERT_FALSE(table);
      EXPECT_THAT(table.error().message, AllOf(HasSubstr(path), HasSubstr("another size")));
      const auto created = CreateLockObjects(name_, 1);
      ASSERT_TRUE(created) << created.error().message;
      EXPECT_EQ(*created, 1U);
      EXPECT_TRUE(Open().Acquire(0, kNoUse, Past(), -1).lock);
    }
  }
}

// Size 0 and mode 0644: whoever made it did not make a lock.
TEST_F(LockTest, ReplacesNothingThatIsNotItsOwn) {
  const std::string path = mutex_path();
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_FALSE(CreateLockObjects(name_, 1));
  struct stat info = {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 0);
}

TEST_F(LockTest, RefusesAnotherUsersObject) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_EQ(::chown(mutex_path().c_str(), 12345, 0), 0);
  const auto created = CreateLockObjects(name_, 1);
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message,
              AllOf(HasSubstr(mutex_path()), HasSubstr("user 12345"), HasSubstr("--lock.name")));
}

TEST_F(LockTest, OpensOnlyWhatExists) {
  const auto table = LockTable::Open(name_, 3);
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("No such file"));
}

TEST_F(LockTest, ExcludesASecondTableUntilReleased) {
  LockTable first = Open();
  LockTable second = Open();
  AcquireResult held = first.Acquire(0, kNoUse, In(seconds(10)), -1);
  ASSERT_EQ(held.outcome, AcquireOutcome::kAcquired);
  EXPECT_FALSE(held.recovered);
  EXPECT_EQ(second.Acquire(0, kNoUse, Past(), -1).outcome, AcquireOutcome::kTimeout);
  const AcquireResult late = second.Acquire(0, kNoUse, In(milliseconds(30)), -1);
  EXPECT_EQ(late.outcome, AcquireOutcome::kTimeout);
  EXPECT_GE(late.waited, milliseconds(30));
  held.lock.Release();
  const AcquireResult next = second.Acquire(0, kNoUse, Past(), -1);
  EXPECT_EQ(next.outcome, AcquireOutcome::kAcquired);
  EXPECT_FALSE(next.recovered);
}

TEST_F(LockTest, KeepsSlotsApart) {
  ASSERT_TRUE(CreateLockObjects(name_, 3));
  auto first = LockTable::Open(name_, 3);
  auto second = LockTable::Open(name_, 3);
  ASSERT_TRUE(first && second);
  const AcquireResult one = first->Acquire(1, kNoUse, Past(), -1);
  ASSERT_TRUE(one.lock);
  EXPECT_TRUE(second->Acquire(2, kNoUse, Past(), -1).lock);
  EXPECT_FALSE(second->Acquire(1, kNoUse, Past(), -1).lock);
}

TEST_F(LockTest, EndsTheWaitWhenCancelled) {
  LockTable first = Open();
  LockTable second = Open();
  const AcquireResult held = first.Acquire(0, kNoUse, Past(), -1);
  ASSERT_TRUE(held.lock);
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd reader(sockets[0]);
  UniqueFd writer(sockets[1]);
  ASSERT_EQ(::send(writer.get(), "x", 1, 0), 1);
  EXPECT_EQ(second.Acquire(0, kNoUse, In(hours(1)), reader.get()).outcome,
            AcquireOutcome::kCancelled);
  char byte = 0;
  ASSERT_EQ(::recv(reader.get(), &byte, 1, 0), 1) << "the frame is the caller's to read";
  writer.Reset();
  EXPECT_EQ(second.Acquire(0, kNoUse, In(hours(1)), reader.get()).outcome,
            AcquireOutcome::kCancelled);
}

TEST_F(LockTest, TakesOverFromADeadHolderAndCountsIt) {
  const LockBoard board = OpenBoard();
  {
    LockTable dying = Open();
    AcquireResult held = dying.Acquire(0, kNoUse, Past(), -1);
    ASSERT_TRUE(held.lock);
    Abandon(std::move(held.lock));
  }
  LockTable next = Open();
  const AcquireResult taken = next.Acquire(0, kNoUse, Past(), -1);
  EXPECT_EQ(taken.outcome, AcquireOutcome::kAcquired);
  EXPECT_TRUE(taken.recovered);
  EXPECT_EQ(board.recoveries(), 1U);
}

TEST_F(LockTest, LetsNoStrayPostLive) {
  LockTable first = Open();
  LockTable second = Open();
  sem_t* semaphore = ::sem_open(("/" + name_).c_str(), 0);
  ASSERT_NE(semaphore, SEM_FAILED);
  for (int i = 0; i < 5; ++i) ::sem_post(semaphore);
  AcquireResult held = first.Acquire(0, kNoUse, Past(), -1);
  ASSERT_TRUE(held.lock);
  EXPECT_EQ(MutexCount(), 0);
  for (int i = 0; i < 40; ++i) ::sem_post(semaphore);
  EXPECT_EQ(second.Acquire(0, kNoUse, In(milliseconds(100)), -1).outcome, AcquireOutcome::kTimeout);
  held.lock.Release();
  held = second.Acquire(0, kNoUse, Past(), -1);
  EXPECT_TRUE(held.lock);
  EXPECT_EQ(MutexCount(), 0);
  held.lock.Release();
  EXPECT_EQ(MutexCount(), 1);
  ::sem_close(semaphore);
}

TEST_F(LockTest, LeavesTheRingWhenItGivesUp) {
  LockTable holder = Open();
  LockTable waiter = Open();
  const AcquireResult held = holder.Acquire(0, kNoUse, Past(), -1);
  ASSERT_TRUE(held.lock);
  sem_t* semaphore = ::sem_open(("/" + name_).c_str(), 0);
  ::sem_post(semaphore);  // as a holder does that is stopped before it drops the witness
  EXPECT_FALSE(waiter.Acquire(0, kNoUse, In(milliseconds(50)), -1).lock);
  EXPECT_EQ(MutexCount(), 1);
  ::sem_close(semaphore);
}

TEST_F(LockTest, WaitsForTheTenantOfTheDead) {
  UniqueFd iperf3;  // as a child that outlives the worker
  {
    LockTable dying = Open();
    AcquireResult held = dying.Acquire(0, kNoUse, Past(), -1);
    iperf3.Reset(::fcntl(held.lock.tenant_fd(), F_DUPFD_CLOEXEC, 0));
    Abandon(std::move(held.lock));
  }
  LockTable next = Open();
  EXPECT_EQ(next.Acquire(0, kNoUse, In(milliseconds(30)), -1).outcome, AcquireOutcome::kTimeout);
  iperf3.Reset();
  EXPECT_TRUE(next.Acquire(0, kNoUse, Past(), -1).lock);
}

TEST_F(LockTest, ReleaseEndsTheTenancyOfInheritedCopies) {
  LockTable first = Open();
  LockTable second = Open();
  AcquireResult held = first.Acquire(0, kNoUse, Past(), -1);
  const UniqueFd copy(::fcntl(held.lock.tenant_fd(), F_DUPFD_CLOEXEC, 0));
  held.lock.Release();
  EXPECT_TRUE(second.Acquire(0, kNoUse, Past(), -1).lock);
}

TEST_F(LockTest, TenantDescriptorCanOnlyRead) {
  LockTable table = Open();
  const AcquireResult held = table.Acquire(0, kNoUse, Past(), -1);
  const int fd = held.lock.tenant_fd();
  EXPECT_EQ(::fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(TryLockByte(fd, kWitnessByte, F_WRLCK), ByteLock::kBroken);
}

// The open descriptors of this process on the file, with their access mode.
std::vector<std::pair<int, int>> DescriptorsOn(const std::string& path) {
  std::vector<std::pair<int, int>> found;
  struct stat file = {};
  if (::stat(path.c_str(), &file) != 0) return found;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat info = {};
    if (::fstat(fd, &info) != 0 || info.st_ino != file.st_ino || info.st_dev != file.st_dev)
      continue;
    found.emplace_back(fd, ::fcntl(fd, F_GETFL) & O_ACCMODE);
  }
  return found;
}

TEST_F(LockTest, KeepsNoDescriptorThatCanCutTheBoard) {
  const LockTable table = Open();
  const auto board = DescriptorsOn(LockBoardPath(name_, 1));
  ASSERT_EQ(board.size(), 1U);
  EXPECT_EQ(board[0].second, O_RDONLY);
}

TEST_F(LockTest, KeepsItsDescriptorsWhereItIsTold) {
  constexpr int kLowest = 300;
  const auto table = LockTable::Open(name_, 1, kLowest);
  ASSERT_TRUE(table) << table.error().message;
  for (const auto& path : {mutex_path(), LockBoardPath(name_, 1)}) {
    const auto fds = DescriptorsOn(path);
    EXPECT_FALSE(fds.empty());
    for (const auto& [fd, mode] : fds) {
      EXPECT_GE(fd, kLowest);
      EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    }
  }
}

TEST_F(LockTest, NoticesADeletedMutexOrBoard) {
  for (const auto& path : {mutex_path(), LockBoardPath(name_, 1)}) {
    LockTable idle = Open();
    LockTable holder = Open();
    LockTable waiter = Open();
    const LockBoard board = OpenBoard();
    EXPECT_FALSE(board.ObjectsGone());
    ASSERT_EQ(::unlink(path.c_str()), 0);
    EXPECT_TRUE(board.ObjectsGone());
    EXPECT_EQ(idle.Acquire(0, kNoUse, In(hours(1)), -1).outcome, AcquireOutcome::kObjectGone);
    const auto made = CreateLockObjects(name_, 1);
    ASSERT_TRUE(made);
    EXPECT_EQ(*made, 1U);
    EXPECT_TRUE(board.ObjectsGone());
    EXPECT_EQ(idle.Acquire(0, kNoUse, In(hours(1)), -1).outcome, AcquireOutcome::kObjectGone);
    EXPECT_TRUE(Open().Acquire(0, kNoUse, Past(), -1).lock);
  }
}

TEST_F(LockTest, AWaiterNoticesTheDeletionUnderAHolder) {
  LockTable holder = Open();
  LockTable waiter = Open();
  const AcquireResult held = holder.Acquire(0, kNoUse, Past(), -1);
  ASSERT_TRUE(held.lock);
  ASSERT_EQ(::unlink(mutex_path().c_str()), 0);
  EXPECT_EQ(waiter.Acquire(0, kNoUse, In(hours(1)), -1).outcome, AcquireOutcome::kObjectGone);
}

class LockBoardTest : public LockTest {
 protected:
  // What a rogue holder may write.
  void Forge(const BoardRecord& record) {
    const UniqueFd fd(::open(LockBoardPath(name_, 1).c_str(), O_RDWR | O_CLOEXEC));
    auto memory = BoardMemory::Map(fd.get(), 1);
    ASSERT_TRUE(memory);
    memory->Write(0, record);
  }
};

TEST_F(LockBoardTest, ShowsTheHolderWhileItHolds) {
  const LockBoard board = OpenBoard();
  LockTable table = Open();
  EXPECT_FALSE(board.Read(0));
  AcquireResult held = table.Acquire(0, {.target = "server.example", .port = 5201}, Past(), -1);
  const auto holder = board.Read(0);
  ASSERT_TRUE(holder);
  EXPECT_TRUE(holder->identified);
  EXPECT_FALSE(holder->ours) << "the table's parent process reads as its exporter";
  EXPECT_EQ(holder->exporter_pid, static_cast<std::uint32_t>(::getppid()));
  EXPECT_EQ(holder->worker_pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(holder->target, "server.example");
  EXPECT_EQ(holder->port, 5201);
  const auto age = std::chrono::system_clock::now() - holder->since;
  EXPECT_LT(std::chrono::abs(age), hours(1));
  held.lock.Release();
  EXPECT_FALSE(board.Read(0));
}

TEST_F(LockBoardTest, IgnoresTheRecordOfTheDead) {
  const LockBoard board = OpenBoard();
  {
    LockTable dying = Open();
    AcquireResult held = dying.Acquire(0, {.target = "old", .port = 1}, Past(), -1);
    Abandon(std::move(held.lock));
  }
  EXPECT_FALSE(board.Read(0));
  // Somebody who holds, but has not signed yet.
  const UniqueFd next(::open(mutex_path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(TryLockByte(next.get(), kWitnessByte, F_WRLCK), ByteLock::kHad);
  const auto holder = board.Read(0);
  ASSERT_TRUE(holder);
  EXPECT_FALSE(holder->identified);
  EXPECT_EQ(holder->target, "");
}

TEST_F(LockBoardTest, CleansForgedRecords) {
  const LockBoard board = OpenBoard();
  const UniqueFd rogue(::open(mutex_path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(TryLockByte(rogue.get(), kWitnessByte, F_WRLCK), ByteLock::kHad);
  BoardRecord record{.since_ns = 77, .port = 5201, .target_bytes = 4};
  std::memcpy(record.target.data(), "a\"\n\xff", 4);
  ASSERT_EQ(TryLockByte(rogue.get(), StampByte(77), F_WRLCK), ByteLock::kHad);
  Forge(record);
  auto holder = board.Read(0);
  ASSERT_TRUE(holder && holder->identified);
  EXPECT_EQ(holder->target, "a???");

  record.target_bytes = 0xffffffff;
  Forge(record);
  holder = board.Read(0);
  ASSERT_TRUE(holder);
  EXPECT_FALSE(holder->identified);

  record.target_bytes = 4;
  record.port = 65536;
  Forge(record);
  EXPECT_FALSE(board.Read(0)->identified);

  record.port = 1;
  record.since_ns = -1;
  Forge(record);
  EXPECT_FALSE(board.Read(0)->identified);
}

// Whoever maps it would be ended by SIGBUS.
TEST_F(LockBoardTest, KnowsNothingOfABoardThatWasCutOff) {
  const LockBoard board = OpenBoard();
  LockTable table = Open();
  AcquireResult held = table.Acquire(0, {.target = "server.example", .port = 5201}, Past(), -1);
  ASSERT_TRUE(board.Read(0)->identified);
  const auto whole = static_cast<off_t>(BoardMemory::Bytes(1));
  for (const off_t size : {whole - 1, off_t{20}, off_t{8}, off_t{0}}) {
    ASSERT_EQ(::truncate(LockBoardPath(name_, 1).c_str(), size), 0);
    const auto holder = board.Read(0);
    ASSERT_TRUE(holder) << "the witness is held";
    EXPECT_FALSE(holder->identified);
  }
  EXPECT_EQ(board.recoveries(), 0U);
  // Its own mapping would end this process too.
  ASSERT_EQ(::truncate(LockBoardPath(name_, 1).c_str(), whole), 0);
  held.lock.Release();
  EXPECT_FALSE(board.Read(0));
}

TEST_F(LockBoardTest, SurvivesAWriterThatDiedInside) {
  const LockBoard board = OpenBoard();
  const UniqueFd fd(::open(LockBoardPath(name_, 1).c_str(), O_RDWR | O_CLOEXEC));
  const std::uint64_t odd = 1;
  ASSERT_EQ(::pwrite(fd.get(), &odd, sizeof odd, sizeof(std::uint64_t)), ssize_t{sizeof odd});
  EXPECT_FALSE(board.Read(0));
  LockTable table = Open();
  const AcquireResult held = table.Acquire(0, {.target = "next", .port = 1}, Past(), -1);
  const auto holder = board.Read(0);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->target, "next");
}

}  // namespace
}  // namespace iperf3_exporter
