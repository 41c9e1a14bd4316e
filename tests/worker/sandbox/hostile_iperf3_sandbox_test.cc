// What a compromised iperf3 can still do: attack by attack, for each way to start a worker.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/worker/sandbox/confined_iperf3.h"
#include "worker/sandbox/landlock.h"

namespace iperf3_exporter {
namespace {

// A call that fails with an errno is refused by the system call filter, by Landlock, or by a limit.
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
    // Not by the filter: an abort outside a sandbox ends like this.
    {"abort", "killed"},
    {"sigqueue", kKilled},
    {"pidfd", kKilled},
    {"pidfd-getfd", kKilled},
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
    {"map-library", kAllowed},
    {"map-library-wx", kKilled},
    {"map-wx", kKilled},
    {"make-exec", kKilled},
    {"make-read-only", kAllowed},
    {"memfd", kKilled},
    {"memfd-thread", kKilled},
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

// Refused by Landlock: owner and mode of most of these files would allow access.
constexpr Attack kFileAttacks[] = {
    {"open-passwd", "refused: EACCES"}, {"open-key", "refused: EACCES"},
    {"open-device", "refused: EACCES"}, {"open-mem", "refused: EACCES"},
    {"open-worker", "refused: EACCES"}, {"open-worker-mem", "refused: EACCES"},
    {"create-tmp", "refused: EACCES"},  {"create-shm", "refused: EACCES"},
    {"unlink-own", "refused: EACCES"},  {"unlink-own-at", "refused: EACCES"},
    {"unlink-lock", "refused: EACCES"},
};

class HostileIperf3Test : public ConfinedIperf3Test {
 protected:
  HostileIperf3Test() : ConfinedIperf3Test("hostile_iperf3") {}

  void ExpectTargetsIntact(const char* after) const override {
    EXPECT_EQ(std::filesystem::file_size(own_), 8U) << "after " << after;
    EXPECT_TRUE(std::filesystem::is_fifo(lock_)) << "after " << after;
    // The key, its own file and the program.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_path_), {}), 3) << after;
    EXPECT_FALSE(std::filesystem::exists("/dev/shm/" + name_ + ".new")) << "after " << after;
  }
};

TEST_P(HostileIperf3Test, IsConfinedBySystemCallFilters) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kAttacks);
}

TEST_P(HostileIperf3Test, CannotAccessFiles) {
  ASSERT_EQ(ready_.error, "");
  if (LandlockAbi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  ExpectEach(kFileAttacks);
}

// It dies by SIGXFSZ, not by the filter.
TEST_P(HostileIperf3Test, IsKilledAtItsFileSizeLimit) {
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

TEST_P(HostileIperf3Test, LeavesNoDirectoryBehind) {
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

TEST_P(HostileIperf3Test, LeavesNoDirectoryBehindWhenStoppedDuringAJob) {
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

TEST_P(HostileIperf3Test, RemovesTheDirectoryOfAKilledWorker) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> directories = PrivateDirectories(worker_.pid());
  worker_.Kill(SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(worker_.WaitForExit()));
  WorkerUnderTest next(GetParam().prefix);
  EXPECT_EQ(next.Configure(config_).error, "");
  for (const std::string& directory : directories) EXPECT_FALSE(std::filesystem::exists(directory));
}

// No call is stopped, every denied call is logged once.
TEST_P(HostileIperf3Test, LogsDeniedCallsWithoutStoppingThemWhenDiagnosing) {
  WorkerUnderTest worker(GetParam().prefix);
  config_.sandbox = SandboxMode::kDiagnose;
  const SetUpAnswer ready = worker.Configure(config_);
  ASSERT_EQ(ready.error, "");
  EXPECT_EQ(ready.sandbox.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)],
            LayerState::kMissing);
  for (int i = 0; i < 2; ++i) {
    const JobEnd named = worker.Run(MakeJob("memfd"));
    EXPECT_TRUE(named.Succeeded()) << Why(named);
  }
  EXPECT_TRUE(worker.Run(MakeJob("fcntl-dup")).Succeeded());
  EXPECT_TRUE(worker.Run(MakeJob("uname")).Succeeded());
  worker.CloseLink();
  EXPECT_EQ(worker.WaitForExit(), 0);
  const std::string log = worker.Log();
  EXPECT_NE(log.find("DIAGNOSING"), std::string::npos) << log;
  EXPECT_NE(log.find("memfd_create"), std::string::npos) << log;
  EXPECT_EQ(log.find("memfd_create"), log.rfind("memfd_create")) << log;
  EXPECT_NE(log.find("call=fcntl"), std::string::npos) << log;
  EXPECT_EQ(log.find("uname"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Starts, HostileIperf3Test, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
