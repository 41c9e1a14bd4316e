// What a compromised iperf3 can still do with files and with the lock.
#include <gtest/gtest.h>
#include <poll.h>

#include <filesystem>

#include "tests/worker/sandbox/confined_iperf3.h"
#include "worker/sandbox/landlock.h"

namespace iperf3_exporter {
namespace {

constexpr Attack kAttacks[] = {
    {"write-mem", kKilled},
    {"write-own", kKilled},
    {"create-own", kKilled},
    {"list", kKilled},
    {"truncate", kKilled},
    {"remove-tmpdir", kKilled},
    {"read-library", kAllowed},
    {"leave-file", kAllowed},
    {"leave-file", kAllowed},
    {"stream-buffer", kAllowed},
    {"buffer-at", kAllowed},
    {"cut-lock", kKilled},
    {"write-lock", "refused: EBADF"},
    {"send-to-lock", "refused: EBADF"},
    {"free-lock", kKilled},
    {"map-lock", "refused: ENODEV"},
    {"map-lock-exec", kKilled},
};

// Refused by Landlock: owner and mode of most of these files would allow access.
constexpr Attack kFileAttacks[] = {
    {"open-passwd", "refused: EACCES"}, {"open-key", "refused: EACCES"},
    {"open-device", "refused: EACCES"}, {"open-mem", "refused: EACCES"},
    {"open-worker", "refused: EACCES"}, {"open-worker-mem", "refused: EACCES"},
    {"create-tmp", "refused: EACCES"},  {"create-shm", "refused: EACCES"},
    {"unlink-own", "refused: EACCES"},  {"unlink-own-at", "refused: EACCES"},
    {"unlink-lock", "refused: EACCES"},
};

class HostileFilesTest : public ConfinedIperf3Test {
 protected:
  HostileFilesTest() : ConfinedIperf3Test("hostile_files") {}

  void ExpectTargetsIntact(const char* after) const override {
    EXPECT_EQ(std::filesystem::file_size(own_), 8U) << "after " << after;
    EXPECT_TRUE(std::filesystem::is_fifo(lock_)) << "after " << after;
    // The key, its own file and the program.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_path_), {}), 3) << after;
    EXPECT_FALSE(std::filesystem::exists("/dev/shm/" + name_ + ".new")) << "after " << after;
  }
};

TEST_P(HostileFilesTest, AreConfinedBySystemCallFilters) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kAttacks);
}

TEST_P(HostileFilesTest, CannotAccessFiles) {
  ASSERT_EQ(ready_.error, "");
  if (LandlockAbi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  ExpectEach(kFileAttacks);
}

// It dies by SIGXFSZ, not by the filter.
TEST_P(HostileFilesTest, IsKilledAtItsFileSizeLimit) {
  ASSERT_EQ(ready_.error, "");
  EXPECT_EQ(Run("huge-file").reason(), FailureReason::kKilled);
  EXPECT_TRUE(Run("").Succeeded());
}

// The paths of the private directories that process `pid` has open.
std::vector<std::string> PrivateDirectories(pid_t pid) {
  std::vector<std::string> found;
  std::error_code error;
  const std::string fds = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(fds, error)) {
    const std::string path = std::filesystem::read_symlink(entry.path(), error).string();
    if (path.find("/iperf3_exporter.") != std::string::npos) found.push_back(path);
  }
  return found;
}

TEST_P(HostileFilesTest, LeavesNoDirectoryBehind) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> directories = PrivateDirectories(worker_.pid());
  // A worker that can mount has none.
  EXPECT_EQ(directories.empty(), HasOwnMount());
  EXPECT_TRUE(Run("leave-file").Succeeded());
  // Files of a job are removed before the next one.
  EXPECT_TRUE(Run("").Succeeded());
  for (const std::string& directory : directories)
    EXPECT_TRUE(std::filesystem::is_empty(directory));
  worker_.CloseLink();
  EXPECT_EQ(worker_.WaitForExit(), 0);
  for (const std::string& directory : directories) EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST_P(HostileFilesTest, LeavesNoDirectoryBehindWhenStoppedDuringAJob) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> directories = PrivateDirectories(worker_.pid());
  worker_.Send(MakeJob("leave-and-wait"));
  const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
  for (const std::string& directory : directories) {
    while (std::filesystem::is_empty(directory) && Clock::now() < deadline) ::poll(nullptr, 0, 1);
  }
  worker_.CloseLink();
  EXPECT_EQ(worker_.WaitForExit(), 0);
  for (const std::string& directory : directories)
    EXPECT_FALSE(std::filesystem::exists(directory)) << directory;
}

TEST_P(HostileFilesTest, RemovesTheDirectoryOfAKilledWorker) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> directories = PrivateDirectories(worker_.pid());
  worker_.Kill(SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(worker_.WaitForExit()));
  WorkerUnderTest next(GetParam().prefix);
  EXPECT_EQ(next.Configure(config_).error, "");
  for (const std::string& directory : directories) EXPECT_FALSE(std::filesystem::exists(directory));
}

INSTANTIATE_TEST_SUITE_P(Starts, HostileFilesTest, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
