// What an iperf3 that an attacker has taken over can still do: the table of issue 4, attack by
// attack, for each way in which a worker is started.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/worker/worker_under_test.h"
#include "worker/sandbox/landlock.h"

namespace iperf3_exporter {
namespace {

enum class Fate { kKilled, kRefused, kAllowed };

struct Attack {
  const char* word;
  Fate fate;
};

// The killed ones are refused by the system call filter, the refused ones by it with an errno, by
// Landlock, or by a limit.
constexpr Attack kAttacks[] = {
    {"execve", Fate::kKilled},
    {"execveat-path", Fate::kKilled},
    {"execveat-abs", Fate::kKilled},
    {"execveat-again", Fate::kRefused},
    {"execveat-other", Fate::kKilled},
    {"map-path", Fate::kKilled},
    {"map-path-hint", Fate::kKilled},
    {"remap-path", Fate::kKilled},
    {"grow-to-path", Fate::kKilled},
    {"map-zero", Fate::kKilled},
    {"map-vdso", Fate::kKilled},
    {"ask-shadow", Fate::kRefused},
    {"ask-cet", Fate::kRefused},
    {"fork", Fate::kKilled},
    {"vfork", Fate::kKilled},
    {"clone", Fate::kKilled},
    {"clone-vfork", Fate::kKilled},
    {"clone3", Fate::kRefused},
    {"thread", Fate::kAllowed},
    {"threads", Fate::kAllowed},
    {"ptrace", Fate::kKilled},
    {"write-worker", Fate::kKilled},
    {"kill", Fate::kKilled},
    {"kill-all", Fate::kKilled},
    {"tgkill", Fate::kKilled},
    {"tgkill-self", Fate::kAllowed},
    {"sigqueue", Fate::kKilled},
    {"pidfd", Fate::kKilled},
    {"pidfd-getfd", Fate::kKilled},
    {"write-mem", Fate::kKilled},
    {"write-passwd", Fate::kKilled},
    {"truncate", Fate::kKilled},
    {"read-library", Fate::kAllowed},
    {"leave-file", Fate::kAllowed},
    {"leave-file", Fate::kAllowed},
    {"stream-buffer", Fate::kAllowed},
    {"cut-lock", Fate::kKilled},
    {"map-library", Fate::kAllowed},
    {"netlink", Fate::kRefused},
    {"packet", Fate::kRefused},
    {"unix", Fate::kRefused},
    {"vsock", Fate::kRefused},
    {"raw", Fate::kKilled},
    {"raw6", Fate::kKilled},
    {"sctp", Fate::kKilled},
    {"ping", Fate::kKilled},
    {"ping6", Fate::kKilled},
    {"mptcp", Fate::kKilled},
    {"tcp", Fate::kAllowed},
    {"udp", Fate::kAllowed},
    {"connect", Fate::kAllowed},
    {"fast-open", Fate::kKilled},
    {"sendmsg", Fate::kKilled},
    {"sendmmsg", Fate::kKilled},
    {"listen", Fate::kKilled},
    {"accept", Fate::kKilled},
    {"map-wx", Fate::kKilled},
    {"make-exec", Fate::kKilled},
    {"make-read-only", Fate::kAllowed},
    {"much-memory", Fate::kRefused},
    {"some-memory", Fate::kAllowed},
    {"memfd", Fate::kKilled},
    {"10000-fds", Fate::kRefused},
    {"many-fds", Fate::kAllowed},
    {"dup", Fate::kKilled},
    {"dup-high", Fate::kKilled},
    {"fcntl-dup", Fate::kKilled},
    {"fcntl-owner", Fate::kKilled},
    {"fcntl-flags", Fate::kAllowed},
    {"ioctl", Fate::kRefused},
    {"set-limit", Fate::kKilled},
    {"get-limit", Fate::kAllowed},
    {"setuid", Fate::kKilled},
    {"mount", Fate::kKilled},
    {"unshare", Fate::kKilled},
    {"setns", Fate::kKilled},
    {"chroot", Fate::kKilled},
    {"io-uring", Fate::kKilled},
    {"userfaultfd", Fate::kKilled},
    {"bpf", Fate::kKilled},
    {"keyctl", Fate::kKilled},
    {"add-key", Fate::kKilled},
    {"perf-event", Fate::kKilled},
    {"prctl", Fate::kKilled},
    {"seccomp", Fate::kKilled},
    {"landlock", Fate::kKilled},
    {"personality", Fate::kKilled},
    {"reboot", Fate::kKilled},
    {"int80", Fate::kKilled},
    {"x32", Fate::kKilled},
    {"uname", Fate::kAllowed},
};

// Refused by Landlock alone.
constexpr Attack kFileAttacks[] = {
    {"open-passwd", Fate::kRefused}, {"open-shadow", Fate::kRefused},
    {"open-mem", Fate::kRefused},    {"open-environ", Fate::kRefused},
    {"open-worker", Fate::kRefused}, {"create-tmp", Fate::kRefused},
    {"create-shm", Fate::kRefused},
};
constexpr Attack kPortAttacks[] = {
    {"connect-other", Fate::kRefused},
    {"fast-connect", Fate::kRefused},
    {"bind", Fate::kRefused},
};

struct Start {
  const char* name;
  std::vector<std::string> prefix;
};

std::vector<Start> Starts() {
  if (::geteuid() != 0) return {{"User", {}}};
  return {
      {"Root", {}},
      {"User", {"setpriv", "--reuid=60000", "--regid=60000", "--clear-groups"}},
      // As in a container without capabilities.
      {"RootWithoutCapabilities", {"setpriv", "--bounding-set=-all", "--inh-caps=-all"}},
  };
}

class HostileIperf3Test : public ::testing::TestWithParam<Start> {
 protected:
  HostileIperf3Test() : worker_(GetParam().prefix) {
    config_.iperf3_path = TEST_BINARY_DIR "/hostile_iperf3";
    config_.sandbox = SandboxMode::kRequire;
    ready_ = worker_.Configure(config_);
  }

  Job MakeJob(const char* word) {
    Job job;
    job.id = ++last_id_;
    job.address = ParseIpAddress("127.0.0.1").value();
    job.port = 9;  // discard: nobody listens there
    job.test.period_seconds = 1;
    job.test.bind_device = word;
    job.deadline = Clock::now() + WorkerUnderTest::kPatience;
    job.lock_deadline = job.deadline;
    return job;
  }

  JobResult Run(const char* word) { return worker_.Run(MakeJob(word)); }

  void Expect(const Attack& attack) {
    const JobResult result = Run(attack.word);
    switch (attack.fate) {
      case Fate::kAllowed:
        EXPECT_EQ(result.outcome, JobOutcome::kSucceeded) << attack.word << Why(result);
        break;
      case Fate::kKilled:
        EXPECT_EQ(result.outcome, JobOutcome::kFailed) << attack.word;
        EXPECT_EQ(result.reason, FailureReason::kSandboxViolation) << attack.word << Why(result);
        break;
      case Fate::kRefused:
        EXPECT_EQ(result.outcome, JobOutcome::kFailed) << attack.word;
        EXPECT_EQ(result.error_text.substr(0, 7), "refused") << attack.word << Why(result);
        break;
    }
    EXPECT_EQ(Run("").outcome, JobOutcome::kSucceeded) << "after " << attack.word;
  }

  static std::string Why(const JobResult& result) {
    return ": " + std::string(Name(result.reason)) + ", " + result.error_text;
  }

  WorkerConfig config_;
  WorkerUnderTest worker_;
  WorkerReady ready_;
  std::uint64_t last_id_ = 0;
};

TEST_P(HostileIperf3Test, GetsNothingFromTheKernel) {
  ASSERT_EQ(ready_.error, "");
  for (const Attack& attack : kAttacks) Expect(attack);
}

TEST_P(HostileIperf3Test, GetsNoFile) {
  ASSERT_EQ(ready_.error, "");
  if (LandlockAbi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  for (const Attack& attack : kFileAttacks) Expect(attack);
}

TEST_P(HostileIperf3Test, ConnectsToItsServerOnly) {
  ASSERT_EQ(ready_.error, "");
  if (LandlockAbi() < kLandlockAbiWithPorts) GTEST_SKIP() << "this kernel has no port rules";
  for (const Attack& attack : kPortAttacks) Expect(attack);
}

// Dies by SIGXFSZ, which is not the filter's.
TEST_P(HostileIperf3Test, DiesAtItsLimits) {
  ASSERT_EQ(ready_.error, "");
  EXPECT_EQ(Run("huge-file").reason, FailureReason::kKilled);
  EXPECT_EQ(Run("").outcome, JobOutcome::kSucceeded);
}

TEST_P(HostileIperf3Test, EveryLayerThatIsOfferedIsInForce) {
  ASSERT_EQ(ready_.error, "");
  const auto state = [&](SandboxLayer layer) {
    return ready_.sandbox.worker[static_cast<std::size_t>(layer)];
  };
  for (const SandboxLayer layer :
       {SandboxLayer::kNoNewPrivileges, SandboxLayer::kDescriptors, SandboxLayer::kParentDeath,
        SandboxLayer::kNotDumpable, SandboxLayer::kRlimits, SandboxLayer::kEnvironment,
        SandboxLayer::kSeccomp, SandboxLayer::kCapabilities}) {
    EXPECT_EQ(state(layer), LayerState::kInForce) << Name(layer);
  }
  const bool root = GetParam().prefix.empty() && ::geteuid() == 0;
  EXPECT_EQ(state(SandboxLayer::kUser), root ? LayerState::kInForce : LayerState::kNotOffered);
  EXPECT_EQ(state(SandboxLayer::kLandlock),
            LandlockAbi() > 0 ? LayerState::kInForce : LayerState::kNotOffered);
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
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to see the worker's descriptors";
  const std::vector<std::string> folders = PrivateFolders(worker_.pid());
  // Who can mount has none.
  EXPECT_EQ(folders.empty(),
            ready_.sandbox.worker[static_cast<std::size_t>(SandboxLayer::kNamespaces)] ==
                LayerState::kInForce);
  EXPECT_EQ(Run("leave-file").outcome, JobOutcome::kSucceeded);
  // What a job left is removed before the next one.
  EXPECT_EQ(Run("").outcome, JobOutcome::kSucceeded);
  for (const std::string& folder : folders) EXPECT_TRUE(std::filesystem::is_empty(folder));
  worker_.CloseLink();
  EXPECT_EQ(worker_.WaitForExit(), 0);
  for (const std::string& folder : folders) EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_P(HostileIperf3Test, LeavesNoFolderBehindWhenStoppedInAJob) {
  ASSERT_EQ(ready_.error, "");
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to see the worker's descriptors";
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
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to see the worker's descriptors";
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
  const WorkerReady ready = worker.Configure(config_);
  ASSERT_EQ(ready.error, "");
  EXPECT_EQ(ready.sandbox.iperf3[static_cast<std::size_t>(SandboxLayer::kSeccomp)],
            LayerState::kMissing);
  const JobResult named = worker.Run(MakeJob("memfd"));
  EXPECT_EQ(named.outcome, JobOutcome::kSucceeded) << Why(named);
  EXPECT_EQ(worker.Run(MakeJob("dup")).outcome, JobOutcome::kSucceeded);
  EXPECT_EQ(worker.Run(MakeJob("uname")).outcome, JobOutcome::kSucceeded);
  worker.CloseLink();
  EXPECT_EQ(worker.WaitForExit(), 0);
  const std::string log = worker.Log();
  EXPECT_NE(log.find("DIAGNOSING"), std::string::npos) << log;
  EXPECT_NE(log.find("memfd_create"), std::string::npos) << log;
  EXPECT_NE(log.find("call=dup"), std::string::npos) << log;
  EXPECT_EQ(log.find("uname"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Starts, HostileIperf3Test, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
