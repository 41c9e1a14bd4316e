// What an iperf3 that an attacker has taken over can still do: attack by attack, for each way in
// which a worker is started.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/worker/sandbox/confined_iperf3.h"
#include "worker/sandbox/landlock.h"

namespace iperf3_exporter {
namespace {

// What is refused with an errno is so by the system call filter, by Landlock, or by a limit.
constexpr Attack kAttacks[] = {
    {"execve", kKilled},
    {"execveat-path", kKilled},
    {"execveat-abs", kKilled},
    {"execveat-again", "refused: EFAULT"},
    {"execveat-other", kKilled},
    {"map-path", kKilled},
    {"map-path-hint", kKilled},
    {"remap-path", kKilled},
    {"grow-to-path", kKilled},
    {"map-zero", kKilled},
    {"map-vdso", kKilled},
    {"ask-shadow", "refused: EINVAL"},
    {"ask-cet", "refused: EINVAL"},
    {"fork", kKilled},
    {"vfork", kKilled},
    {"clone", kKilled},
    {"clone-vfork", kKilled},
    {"clone-as-worker", kKilled},
    {"clone3", "refused: ENOSYS"},
    {"thread", kAllowed},
    {"ptrace", kKilled},
    {"read-worker", kKilled},
    {"write-worker", kKilled},
    {"limit-worker", kKilled},
    {"kill", kKilled},
    {"kill-all", kKilled},
    {"tgkill", kKilled},
    {"tgkill-cancel", kKilled},
    {"tgkill-self", kKilled},
    {"cancel-thread", kAllowed},
    // Not by the filter: as an abort ends anywhere.
    {"abort", "killed"},
    {"sigqueue", kKilled},
    {"pidfd", kKilled},
    {"pidfd-getfd", kKilled},
    {"write-mem", kKilled},
    {"write-own", kKilled},
    {"truncate", kKilled},
    {"remove-folder", kKilled},
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
    {"map-library", kAllowed},
    {"map-wx", kKilled},
    {"make-exec", kKilled},
    {"make-read-only", kAllowed},
    {"memfd", kKilled},
    {"dup-high", kKilled},
    {"fcntl-dup", kKilled},
    {"fcntl-owner", kKilled},
    {"fcntl-flags", kAllowed},
    {"ioctl", "refused: ENOTTY"},
    {"set-limit", kKilled},
    {"get-limit", kAllowed},
    {"setuid", kKilled},
    {"mount", kKilled},
    {"unshare", kKilled},
    {"setns", kKilled},
    {"chroot", kKilled},
    {"io-uring", kKilled},
    {"userfaultfd", kKilled},
    {"bpf", kKilled},
    {"keyctl", kKilled},
    {"add-key", kKilled},
    {"perf-event", kKilled},
    {"prctl", kKilled},
    {"seccomp", kKilled},
    {"landlock", kKilled},
    {"personality", kKilled},
    {"reboot", kKilled},
    {"int80", kKilled},
    {"x32", kKilled},
    {"uname", kAllowed},
};

// Refused by Landlock: by their owner and mode most of the files could be had.
constexpr Attack kFileAttacks[] = {
    {"open-passwd", "refused: EACCES"},     {"open-key", "refused: EACCES"},
    {"open-mem", "refused: EACCES"},        {"open-worker", "refused: EACCES"},
    {"open-worker-mem", "refused: EACCES"}, {"create-tmp", "refused: EACCES"},
    {"create-shm", "refused: EACCES"},      {"unlink-own", "refused: EACCES"},
    {"unlink-own-at", "refused: EACCES"},   {"unlink-lock", "refused: EACCES"},
};
class HostileIperf3Test : public ConfinedIperf3Test {
 protected:
  HostileIperf3Test() : ConfinedIperf3Test("hostile_iperf3") {}

  void ExpectTargetsWhole(const char* after) const override {
    EXPECT_EQ(std::filesystem::file_size(own_), 8U) << "after " << after;
    EXPECT_TRUE(std::filesystem::is_fifo(lock_)) << "after " << after;
    // The key, its own file and the program.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 3) << after;
    EXPECT_FALSE(std::filesystem::exists("/dev/shm/" + name_ + ".new")) << "after " << after;
  }
};

TEST_P(HostileIperf3Test, GetsNothingFromTheKernel) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kAttacks);
}

TEST_P(HostileIperf3Test, GetsNoFile) {
  ASSERT_EQ(ready_.error, "");
  if (LandlockAbi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  ExpectEach(kFileAttacks);
}

// Dies by SIGXFSZ, which is not the filter's.
TEST_P(HostileIperf3Test, DiesAtItsLimits) {
  ASSERT_EQ(ready_.error, "");
  EXPECT_EQ(Run("huge-file").reason(), FailureReason::kKilled);
  EXPECT_TRUE(Run("").Succeeded());
}

// The paths of the private folders that process `pid` has open.
std::vector<std::string> PrivateFolders(pid_t pid) {
  std::vector<std::string> found;
  std::error_code error;
  const std::string fds = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(fds, error)) {
    const std::string path = std::filesystem::read_symlink(entry.path(), error).string();
    if (path.find("/iperf3_exporter.") != std::string::npos) found.push_back(path);
  }
  return found;
}

TEST_P(HostileIperf3Test, LeavesNoFolderBehind) {
  ASSERT_EQ(ready_.error, "");
  if (!MayLookIntoWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> folders = PrivateFolders(worker_.pid());
  // Who can mount has none.
  EXPECT_EQ(folders.empty(), HasOwnMount());
  EXPECT_TRUE(Run("leave-file").Succeeded());
  // What a job left is removed before the next one.
  EXPECT_TRUE(Run("").Succeeded());
  for (const std::string& folder : folders) EXPECT_TRUE(std::filesystem::is_empty(folder));
  worker_.CloseLink();
  EXPECT_EQ(worker_.WaitForExit(), 0);
  for (const std::string& folder : folders) EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_P(HostileIperf3Test, LeavesNoFolderBehindWhenStoppedInAJob) {
  ASSERT_EQ(ready_.error, "");
  if (!MayLookIntoWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> folders = PrivateFolders(worker_.pid());
  worker_.Send(MakeJob("leave-and-wait"));
  const Deadline deadline = Clock::now() + WorkerUnderTest::kPatience;
  for (const std::string& folder : folders) {
    while (std::filesystem::is_empty(folder) && Clock::now() < deadline) ::poll(nullptr, 0, 1);
  }
  worker_.CloseLink();
  EXPECT_EQ(worker_.WaitForExit(), 0);
  for (const std::string& folder : folders) EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
}

TEST_P(HostileIperf3Test, RemovesTheFolderOfAKilledWorker) {
  ASSERT_EQ(ready_.error, "");
  if (!MayLookIntoWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> folders = PrivateFolders(worker_.pid());
  worker_.Kill(SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(worker_.WaitForExit()));
  WorkerUnderTest next(GetParam().prefix);
  EXPECT_EQ(next.Configure(config_).error, "");
  for (const std::string& folder : folders) EXPECT_FALSE(std::filesystem::exists(folder));
}

// Nothing is stopped, everything is named.
TEST_P(HostileIperf3Test, IsNamedButNotStoppedWhenDiagnosing) {
  WorkerUnderTest worker(GetParam().prefix);
  config_.sandbox = SandboxMode::kDiagnose;
  const SetUpAnswer ready = worker.Configure(config_);
  ASSERT_EQ(ready.error, "");
  EXPECT_EQ(ready.sandbox.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)],
            LayerState::kMissing);
  const JobEnd named = worker.Run(MakeJob("memfd"));
  EXPECT_TRUE(named.Succeeded()) << Why(named);
  EXPECT_TRUE(worker.Run(MakeJob("fcntl-dup")).Succeeded());
  EXPECT_TRUE(worker.Run(MakeJob("uname")).Succeeded());
  worker.CloseLink();
  EXPECT_EQ(worker.WaitForExit(), 0);
  const std::string log = worker.Log();
  EXPECT_NE(log.find("DIAGNOSING"), std::string::npos) << log;
  EXPECT_NE(log.find("memfd_create"), std::string::npos) << log;
  EXPECT_NE(log.find("call=fcntl"), std::string::npos) << log;
  EXPECT_EQ(log.find("uname"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Starts, HostileIperf3Test, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
