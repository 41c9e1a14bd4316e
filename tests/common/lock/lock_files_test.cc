// The lock's files: creation, ownership, and replacement.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/interprocess/sync/named_mutex.hpp>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/lock/holder_table.h"
#include "common/lock/record_lock.h"
#include "tests/common/lock/lock_fixture.h"

namespace iperf3_exporter {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LockFilesTest : public LockFixture {};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ino_t InodeOf(const std::string& path) {
  struct stat info = {};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

TEST_F(LockFilesTest, AcceptsOnlyTheDocumentedCharacters) {
  EXPECT_TRUE(IsValidLockName("iperf3_exporter"));
  EXPECT_TRUE(IsValidLockName("A.b-9_"));
  EXPECT_TRUE(IsValidLockName(std::string(kMaxLockNameBytes, 'x')));
  EXPECT_FALSE(IsValidLockName(""));
  EXPECT_FALSE(IsValidLockName(std::string(kMaxLockNameBytes + 1, 'x')));
  for (const char* bad : {"a/b", "a@b", "a b", "\xc3\xa4", "a\n", "sem.a"})
    EXPECT_FALSE(IsValidLockName(bad));
  const Status refused = CreateLockFiles("a\n", kScope);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "not a valid lock name: \"a\\n\"");
}

TEST_F(LockFilesTest, NamesAreDistinct) {
  EXPECT_EQ(LockFilePath(LockFile::kLock, "n", LockScope::kHost), "/dev/shm/n@host");
  EXPECT_EQ(LockFilePath(LockFile::kWakeup, "n", LockScope::kBind), "/dev/shm/sem.n@bind");
  EXPECT_EQ(LockFilePath(LockFile::kHolders, "n", LockScope::kTarget),
            "/dev/shm/n@target-holders.2");
}

// Exporters of two versions share the lock: these numbers may never change.
TEST_F(LockFilesTest, KeysAreStableAcrossVersions) {
  EXPECT_EQ(MakeLockKey(""), 860922984064492332U);
  EXPECT_EQ(MakeLockKey("host"), 33769079411002738U);
  EXPECT_EQ(MakeLockKey("target 192.0.2.1 5201"), 2046259257417953122U);
}

TEST_F(LockFilesTest, SpreadsKeys) {
  std::set<LockKey> keys;
  for (int i = 0; i < 100'000; ++i) {
    const LockKey key = MakeLockKey("target 10.0.0.1 " + std::to_string(i));
    EXPECT_GE(key, 1U);
    EXPECT_LE(key, kMaxLockKey);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 100'000U);
}

TEST_F(LockFilesTest, CreatesTheMutexAsBoostDoes) {
  namespace bip = boost::interprocess;
  const std::string theirs = name_ + ".boost";
  bip::named_mutex::remove(theirs.c_str());
  { const bip::named_mutex mutex(bip::create_only, theirs.c_str()); }
  EXPECT_EQ(ReadFile(Path(LockFile::kWakeup)), ReadFile("/dev/shm/sem." + theirs));
  bip::named_mutex::remove(theirs.c_str());
}

TEST_F(LockFilesTest, CreatesOnceWithMode0600UnderAnyUmask) {
  TearDown();
  const mode_t old_umask = ::umask(0777);
  const Status created = CreateLockFiles(name_, kScope);
  ::umask(old_umask);
  ASSERT_TRUE(created) << created.error().message;
  for (const LockFile file : kLockFiles) {
    struct stat info = {};
    ASSERT_EQ(::stat(Path(file).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    EXPECT_EQ(info.st_nlink, 1U);
    const ino_t inode = InodeOf(Path(file));
    ASSERT_TRUE(CreateLockFiles(name_, kScope));
    EXPECT_EQ(InodeOf(Path(file)), inode);
  }
}

// With another mode or a second name another user may have it open, and a wrong size kills or
// confuses the processes that map it.
TEST_F(LockFilesTest, ReplacesItsOwnMalformedFiles) {
  const auto expect_replacement = [this](LockFile file, const char* what) {
    const std::string path = Path(file);
    const auto lock = HostLock::Open(name_, kScope);
    ASSERT_FALSE(lock) << what;
    EXPECT_THAT(lock.error().message, HasSubstr(path)) << what;
    const ino_t malformed = InodeOf(path);
    const Status created = CreateLockFiles(name_, kScope);
    ASSERT_TRUE(created) << what << created.error().message;
    EXPECT_NE(InodeOf(path), malformed) << what;
    EXPECT_TRUE(Open()->Acquire(kKey, kNobody, Past(), -1)) << what;
  };
  for (const LockFile file : kLockFiles) {
    const std::string path = Path(file);
    ASSERT_EQ(::chmod(path.c_str(), 0660), 0);
    expect_replacement(file, "mode");
    const std::string second = path + ".second";
    ASSERT_EQ(::link(path.c_str(), second.c_str()), 0);
    expect_replacement(file, "second name");
    ::unlink(second.c_str());
    ASSERT_EQ(::rename(path.c_str(), second.c_str()), 0);
    ASSERT_EQ(::symlink(second.c_str(), path.c_str()), 0);
    expect_replacement(file, "symbolic link to such a file");
    EXPECT_EQ(::unlink(second.c_str()), 0) << "what it led to is gone";
    if (file == LockFile::kLock) continue;
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    expect_replacement(file, "FIFO");
    for (const off_t size : {0, 5, 1'000'000}) {
      ASSERT_EQ(::truncate(path.c_str(), size), 0);
      expect_replacement(file, "size");
    }
  }
}

TEST_F(LockFilesTest, TheCheckChangesNothing) {
  for (const LockFile file : kLockFiles) {
    const std::string path = Path(file);
    const ino_t intact = InodeOf(path);
    EXPECT_TRUE(CheckLockFiles(name_, kScope));
    EXPECT_EQ(InodeOf(path), intact);
    ASSERT_EQ(::chmod(path.c_str(), 0660), 0);
    EXPECT_TRUE(CheckLockFiles(name_, kScope)) << "a start replaces it";
    EXPECT_EQ(InodeOf(path), intact);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    EXPECT_TRUE(CheckLockFiles(name_, kScope)) << "a start creates it";
    EXPECT_EQ(InodeOf(path), 0U);
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    for (const Status& refused : {CheckLockFiles(name_, kScope), CreateLockFiles(name_, kScope)}) {
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().message,
                path + " is a directory: delete it (rm -r) or use another --lock.name");
    }
    ASSERT_EQ(::rmdir(path.c_str()), 0);
  }
}

// A write to a mapped hole of a full file system ends the process.
TEST_F(LockFilesTest, TheFilesHaveNoHoles) {
  const auto expect_allocated = [this](const char* what) {
    for (const LockFile file : kLockFiles) {
      struct stat info = {};
      ASSERT_EQ(::stat(Path(file).c_str(), &info), 0);
      EXPECT_GE(info.st_blocks * 512, info.st_size) << Path(file) << ' ' << what;
    }
  };
  expect_allocated("created");
  const std::string path = Path(LockFile::kHolders);
  const ino_t inode = InodeOf(path);
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  ASSERT_EQ(::truncate(path.c_str(), kHolderTableBytes), 0);
  EXPECT_TRUE(CheckLockFiles(name_, kScope));
  ASSERT_TRUE(CreateLockFiles(name_, kScope));
  expect_allocated("by an older version");
  EXPECT_EQ(InodeOf(path), inode) << "an exporter of that version may use it";
}

constexpr uid_t kStranger = 12345;

TEST_F(LockFilesTest, NobodyReplacesADirectoryOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  for (const LockFile file : kLockFiles) {
    const std::string path = Path(file);
    ASSERT_EQ(::unlink(path.c_str()), 0);
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(::chown(path.c_str(), kStranger, 0), 0);
    for (const Status& refused : {CheckLockFiles(name_, kScope), CreateLockFiles(name_, kScope)}) {
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().message,
                path + " is a directory: delete it (rm -r) or use another --lock.name");
    }
    ASSERT_EQ(::rmdir(path.c_str()), 0);
    ASSERT_TRUE(CreateLockFiles(name_, kScope));
  }
}

TEST_F(LockFilesTest, RootReplacesAnotherUsersFilesThatNobodyUses) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  for (const LockFile file : kLockFiles) {
    ASSERT_EQ(::chown(Path(file).c_str(), kStranger, 0), 0);
    const auto lock = HostLock::Open(name_, kScope);
    ASSERT_FALSE(lock);
    EXPECT_THAT(lock.error().message, AllOf(HasSubstr(Path(file)), HasSubstr("user 12345")));
    const ino_t inode = InodeOf(Path(file));
    EXPECT_TRUE(CheckLockFiles(name_, kScope));
    EXPECT_EQ(InodeOf(Path(file)), inode) << "a check changes nothing";
    ASSERT_TRUE(CreateLockFiles(name_, kScope));
    EXPECT_TRUE(Open()->Acquire(kKey, kNobody, Past(), -1));
  }
}

TEST_F(LockFilesTest, RootLeavesAnotherUsersFilesThatAreInUse) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  const LockMonitor user = OpenMonitor();
  for (const LockFile file : kLockFiles) {
    const ino_t inode = InodeOf(Path(file));
    ASSERT_EQ(::chown(Path(file).c_str(), kStranger, 0), 0);
    for (const Status& refused : {CheckLockFiles(name_, kScope), CreateLockFiles(name_, kScope)}) {
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().message, AllOf(HasSubstr(Path(file)), HasSubstr("user 12345"),
                                                 HasSubstr("is running, so use another --lock")));
    }
    EXPECT_EQ(InodeOf(Path(file)), inode);
    ASSERT_EQ(::chown(Path(file).c_str(), 0, 0), 0);
  }
}

// While it exists, this process can't open files of mode 0600 of another user, as root in a
// container without CAP_DAC_OVERRIDE.
class WithoutDacOverride {
 public:
  WithoutDacOverride() {
    EXPECT_EQ(::syscall(SYS_capget, &header_, capabilities_.data()), 0);
    auto reduced = capabilities_;
    reduced[CAP_TO_INDEX(CAP_DAC_OVERRIDE)].effective &= ~CAP_TO_MASK(CAP_DAC_OVERRIDE);
    EXPECT_EQ(::syscall(SYS_capset, &header_, reduced.data()), 0);
  }
  ~WithoutDacOverride() { EXPECT_EQ(::syscall(SYS_capset, &header_, capabilities_.data()), 0); }
  WithoutDacOverride(const WithoutDacOverride&) = delete;
  WithoutDacOverride& operator=(const WithoutDacOverride&) = delete;

 private:
  __user_cap_header_struct header_{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> capabilities_{};
};

TEST_F(LockFilesTest, RootDoesNotClaimToKnowTheUseOfWhatItCannotOpen) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_EQ(::chown(Path(LockFile::kLock).c_str(), kStranger, 0), 0);
  const WithoutDacOverride capabilities;
  for (const Status& refused : {CheckLockFiles(name_, kScope), CreateLockFiles(name_, kScope)}) {
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message,
                AllOf(HasSubstr("if no exporter of that user runs"), Not(HasSubstr("is running"))));
  }
}

TEST_F(LockFilesTest, AnyOtherUserIsToldWhatToDo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  ASSERT_EQ(::seteuid(kStranger), 0);
  const Status checked = CheckLockFiles(name_, kScope);
  const Status created = CreateLockFiles(name_, kScope);
  RemoveUnusedLockFiles(name_, kScope);
  ASSERT_EQ(::seteuid(0), 0);
  for (const Status& refused : {checked, created}) {
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, AllOf(HasSubstr("user root (0)"), HasSubstr("user 12345"),
                                               HasSubstr("--lock.name")));
    for (const LockFile file : kLockFiles) {
      EXPECT_THAT(refused.error().message, HasSubstr(" " + Path(file)));
    }
  }
  EXPECT_TRUE(Open());
}

TEST_F(LockFilesTest, RemovesOnlyWhatNobodyUses) {
  std::optional<LockMonitor> first = OpenMonitor();
  std::optional<LockMonitor> second = OpenMonitor();
  first.reset();
  RemoveUnusedLockFiles(name_, kScope);
  EXPECT_FALSE(second->NeedsRepair()) << "of another exporter";
  auto lock = Open();
  auto held = lock->Acquire(kKey, kNobody, Past(), -1);
  ASSERT_TRUE(held);
  second.reset();
  RemoveUnusedLockFiles(name_, kScope);
  EXPECT_FALSE(OpenMonitor().NeedsRepair()) << "a test still runs";
  held->Release();
  RemoveUnusedLockFiles(name_, kScope);
  for (const LockFile file : kLockFiles) EXPECT_EQ(InodeOf(Path(file)), 0U);
  EXPECT_TRUE(LockMonitor::Create(name_, kScope));
}

TEST_F(LockFilesTest, NobodyStartsToUseWhatIsBeingRemoved) {
  const auto remover = OpenLockFile(LockFile::kLock, name_, kScope, O_RDWR);
  ASSERT_TRUE(remover);
  ASSERT_TRUE(TryLockAll(remover->get()));
  const auto monitor = LockMonitor::Open(name_, kScope);
  ASSERT_FALSE(monitor);
  EXPECT_TRUE(monitor.error().is_transient);
}

TEST_F(LockFilesTest, OpensOnlyWhatExists) {
  const auto lock = HostLock::Open(name_, LockScope::kHost);
  ASSERT_FALSE(lock);
  EXPECT_THAT(lock.error().message, HasSubstr("No such file"));
}

// Reads one buffer of inotify(7) events about `path`. Waits for the first.
std::vector<std::string> NamesInEvents(const UniqueFd& events) {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  const ssize_t got = ::read(events.get(), buffer.data(), buffer.size());
  std::vector<std::string> names;
  for (ssize_t at = 0; at < got;) {
    const auto* event =
        reinterpret_cast<const inotify_event*>(&buffer[static_cast<std::size_t>(at)]);
    names.emplace_back(event->len > 0 ? event->name : "");
    at += static_cast<ssize_t>(sizeof *event + event->len);
  }
  return names;
}

UniqueFd Watch(const std::string& path, std::uint32_t what) {
  UniqueFd events(::inotify_init1(IN_CLOEXEC));
  EXPECT_GE(::inotify_add_watch(events.get(), path.c_str(), what), 0);
  return events;
}

TEST_F(LockFilesTest, TheLockFileIsRemovedLast) {
  const UniqueFd removals = Watch("/dev/shm", IN_DELETE);
  RemoveUnusedLockFiles(name_, kScope);
  std::vector<std::string> removed;
  while (removed.size() < std::size(kLockFiles)) {
    for (const std::string& name : NamesInEvents(removals)) {
      if (name.find(name_) != std::string::npos) removed.push_back("/dev/shm/" + name);
    }
  }
  EXPECT_EQ(removed.back(), Path(LockFile::kLock));
}

TEST_F(LockFilesTest, WaitsForTheEndOfARemoval) {
  // It waits for 20 ms, and this thread may be late on a busy machine.
  constexpr int kMaxRounds = 50;
  bool created = false;
  for (int round = 0; round < kMaxRounds && !created; ++round) {
    ASSERT_TRUE(CreateLockFiles(name_, kScope));
    auto remover = OpenLockFile(LockFile::kLock, name_, kScope, O_RDWR);
    ASSERT_TRUE(remover && TryLockAll(remover->get()));
    const UniqueFd attempts = Watch(Path(LockFile::kLock), IN_CLOSE);
    std::thread creator([&] { created = LockMonitor::Create(name_, kScope).has_value(); });
    NamesInEvents(attempts);  // the first attempt has failed
    for (const LockFile file : {LockFile::kWakeup, LockFile::kHolders, LockFile::kLock}) {
      ::unlink(Path(file).c_str());
    }
    remover->Reset();
    creator.join();
  }
  EXPECT_TRUE(created);
}

// Whatever a worker that was taken over does to the lock by its descriptors.
TEST_F(LockFilesTest, TheLockFileCannotBeModified) {
  const auto fd = OpenLockFile(LockFile::kLock, name_, kScope, O_RDWR);
  ASSERT_TRUE(fd);
  EXPECT_NE(::ftruncate(fd->get(), 1), 0);
  const std::string block(1 << 20, 'x');
  // 16 pages, whose size depends on the kernel.
  const int pipe_bytes = ::fcntl(fd->get(), F_GETPIPE_SZ);
  EXPECT_LE(pipe_bytes, 16 * ::getpagesize());
  EXPECT_LE(::write(fd->get(), block.data(), block.size()), pipe_bytes);
  EXPECT_TRUE(CreateLockFiles(name_, kScope));
  EXPECT_TRUE(PathRefersTo(Path(LockFile::kLock), fd->get()));
  EXPECT_TRUE(Open()->Acquire(kKey, kNobody, Past(), -1));
}

}  // namespace
}  // namespace iperf3_exporter
