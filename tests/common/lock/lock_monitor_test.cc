// What /lock-status is made from.
#include "common/lock/lock_monitor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <limits>

#include "common/lock/holder_table.h"
#include "common/lock/record_lock.h"
#include "tests/common/lock/lock_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class LockMonitorTest : public LockFixture {
 protected:
  // What a rogue holder may write, into its key's slot.
  void Forge(HolderRecord record, bool with_checksum = true) const {
    record.key = kKey;
    if (with_checksum) record.checksum = ChecksumOf(record);
    const UniqueFd fd(::open(Path(LockFile::kHolders).c_str(), O_RDWR | O_CLOEXEC));
    const auto at = static_cast<off_t>(kKey % kHolderSlots * sizeof record);
    ASSERT_EQ(::pwrite(fd.get(), &record, sizeof record, at), ssize_t{sizeof record});
  }
  // Holds the key without saying who it is.
  [[nodiscard]] UniqueFd HoldSilently() const {
    UniqueFd fd(::open(Path(LockFile::kLock).c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(TryLock(fd.get(), OffsetOf(LockRole::kOwner, kKey), F_WRLCK));
    return fd;
  }
};

// The holder of the only key that is held.
std::optional<LockHolder> OnlyHolder(const LockMonitor& monitor) {
  const auto holders = monitor.Read().holders;
  EXPECT_EQ(holders.size(), 1U);
  return holders.size() == 1 ? holders.front() : std::nullopt;
}

TEST_F(LockMonitorTest, ShowsTheHolderWhileItHolds) {
  const LockMonitor monitor = OpenMonitor();
  const auto lock = Open();
  EXPECT_TRUE(monitor.Read().holders.empty());
  auto held = lock->Acquire(kKey, {.target = "server.example", .port = 5201}, Past(), -1);
  const auto holder = OnlyHolder(monitor);
  ASSERT_TRUE(holder);
  EXPECT_FALSE(holder->ours) << "the parent process of who opened the lock reads as its exporter";
  EXPECT_EQ(holder->exporter_pid, static_cast<std::uint32_t>(::getppid()));
  EXPECT_EQ(holder->worker_pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(holder->target, "server.example");
  EXPECT_EQ(holder->port, 5201);
  EXPECT_LT(holder->held_for, hours(1));
  held->Release();
  EXPECT_TRUE(monitor.Read().holders.empty());
}

TEST_F(LockMonitorTest, ShowsHoldersThatShareASlot) {
  const LockMonitor monitor = OpenMonitor();
  std::vector<std::unique_ptr<HostLock>> workers;
  std::vector<HeldLock> held;
  for (const LockKey i : {1U, 0U, 2U}) {  // the kernel returns them in this order
    workers.push_back(Open());
    held.push_back(
        *workers.back()->Acquire(kKey + i * kHolderSlots, {.target = "t", .port = 1}, Past(), -1));
  }
  EXPECT_EQ(monitor.Read().holders.size(), 3U);
  for (const auto& holder : monitor.Read().holders) EXPECT_TRUE(holder);
  held[1].Release();
  EXPECT_EQ(monitor.Read().holders.size(), 2U);
  for (const auto& holder : monitor.Read().holders) EXPECT_TRUE(holder);
}

TEST_F(LockMonitorTest, DropsDeadHolders) {
  const LockMonitor monitor = OpenMonitor();
  {
    const auto dying = Open();
    Abandon(*dying->Acquire(kKey, {.target = "old", .port = 1}, Past(), -1));
  }
  EXPECT_TRUE(monitor.Read().holders.empty());
}

TEST_F(LockMonitorTest, ANewHolderReplacesADeadOneInAFullTable) {
  const LockMonitor monitor = OpenMonitor();
  for (LockKey i = 0; i < kHolderSlots; ++i) {
    const auto dying = Open();
    Abandon(*dying->Acquire(kKey + i, {.target = "old", .port = 1}, Past(), -1));
  }
  const auto lock = Open();
  const auto held = lock->Acquire(kKey + kHolderSlots, {.target = "new", .port = 1}, Past(), -1);
  const auto holder = OnlyHolder(monitor);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->target, "new");
}

TEST_F(LockMonitorTest, TellsItsOwnWorkersFromThoseOfAnotherPidNamespace) {
  const LockMonitor monitor = OpenMonitor();
  const UniqueFd holder = HoldSilently();
  HolderRecord record{.since_ns = 77,
                      .pid_namespace = OwnPidNamespace(),
                      .exporter_pid = static_cast<std::uint32_t>(::getpid()),
                      .port = 1};
  Forge(record);
  EXPECT_TRUE(OnlyHolder(monitor)->ours);
  record.pid_namespace += 1;  // another container, where our pid is another process
  Forge(record);
  EXPECT_FALSE(OnlyHolder(monitor)->ours);
}

TEST_F(LockMonitorTest, ShowsHoldersWithoutARecord) {
  const LockMonitor monitor = OpenMonitor();
  const UniqueFd holder = HoldSilently();
  EXPECT_FALSE(OnlyHolder(monitor));
}

TEST_F(LockMonitorTest, SanitizesForgedRecords) {
  const LockMonitor monitor = OpenMonitor();
  const UniqueFd rogue = HoldSilently();
  HolderRecord record{.since_ns = 77, .port = 5201, .target_bytes = 4};
  std::memcpy(record.target.data(), "a\"\n\xff", 4);
  Forge(record);
  auto holder = OnlyHolder(monitor);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->target, "a???");
  EXPECT_GT(holder->held_for, seconds(1)) << "since the first nanoseconds after the boot";

  record.since_ns = std::numeric_limits<std::int64_t>::max();
  Forge(record);
  holder = OnlyHolder(monitor);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->held_for, nanoseconds(0));

  record.target_bytes = 0xffffffff;
  Forge(record);
  EXPECT_FALSE(OnlyHolder(monitor));

  record.target_bytes = 4;
  record.port = 65536;
  Forge(record);
  EXPECT_FALSE(OnlyHolder(monitor));

  record.port = 1;
  record.since_ns = -1;
  Forge(record);
  EXPECT_FALSE(OnlyHolder(monitor));
}

// As a writer leaves it that was killed inside.
TEST_F(LockMonitorTest, IgnoresAndOverwritesATornRecord) {
  const LockMonitor monitor = OpenMonitor();
  {
    const UniqueFd rogue = HoldSilently();
    Forge({.since_ns = 77, .port = 1, .recoveries = 1'000}, false);
    EXPECT_FALSE(OnlyHolder(monitor));
    EXPECT_EQ(monitor.Read().recoveries, 0U);
  }
  const auto lock = Open();
  const auto held = lock->Acquire(kKey, {.target = "next", .port = 1}, Past(), -1);
  EXPECT_FALSE(held->recovered());
  const auto holder = OnlyHolder(monitor);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->target, "next");
}

// A hostile worker can lock as many bytes as it likes.
TEST_F(LockMonitorTest, ListsAtMostOneHolderPerSlot) {
  const LockMonitor monitor = OpenMonitor();
  const UniqueFd rogue(::open(Path(LockFile::kLock).c_str(), O_RDWR | O_CLOEXEC));
  struct flock all = ByteRange(F_WRLCK, 1, 0);
  ASSERT_EQ(::fcntl(rogue.get(), F_OFD_SETLK, &all), 0);
  EXPECT_EQ(monitor.Read().holders.size(), kHolderSlots);
}

// A process that maps it would be killed by SIGBUS.
TEST_F(LockMonitorTest, IgnoresATruncatedTable) {
  const LockMonitor monitor = OpenMonitor();
  const auto lock = Open();
  auto held = lock->Acquire(kKey, {.target = "server.example", .port = 5201}, Past(), -1);
  ASSERT_TRUE(OnlyHolder(monitor));
  const std::string path = Path(LockFile::kHolders);
  for (const off_t size : {off_t{20}, off_t{8}, off_t{0}}) {
    ASSERT_EQ(::truncate(path.c_str(), size), 0);
    EXPECT_FALSE(OnlyHolder(monitor));
    EXPECT_EQ(monitor.Read().recoveries, 0U);
    EXPECT_TRUE(monitor.NeedsRepair());
  }
  // This process maps it too.
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(kHolderTableBytes)), 0);
  held->Release();
  EXPECT_TRUE(monitor.Read().holders.empty());
}

}  // namespace
}  // namespace iperf3_exporter
