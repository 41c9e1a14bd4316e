// Compares the layers that a worker reports as enabled with what the kernel shows, and tests the
// report of a layer that is unavailable.
#include "worker/sandbox/worker_sandbox.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/test_paths.h"
#include "tests/worker/sandbox/confined_iperf3.h"
#include "worker/sandbox/identity.h"
#include "worker/sandbox/landlock.h"
#include "worker/sandbox/resource_limits.h"

namespace iperf3_exporter {
namespace {

LayerState StateOf(const WorkerReady& ready, SandboxLayer layer) {
  return ready.sandbox.worker[static_cast<std::size_t>(layer)];
}

class WorkerSandboxTest : public ConfinedIperf3Test {
 protected:
  WorkerSandboxTest() : ConfinedIperf3Test("hostile_iperf3") {}

  // Whether the worker may change to a user of its own.
  [[nodiscard]] bool ChangesUser() const {
    return GetParam().user == 0 && GetParam().prefix.empty();
  }

  static std::string Status(pid_t pid, const char* name) {
    return LineOf(ProcPath(pid, "status"), std::string(name) + ":");
  }

  void ExpectConfined(pid_t pid, int filters) const {
    const int outer = std::stoi(Status(::getpid(), "Seccomp_filters"));
    EXPECT_EQ(Status(pid, "NoNewPrivs"), "1");
    EXPECT_EQ(Status(pid, "Seccomp"), "2");
    EXPECT_EQ(Status(pid, "Seccomp_filters"), std::to_string(outer + filters));
    const std::string none(16, '0');
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      EXPECT_EQ(Status(pid, set), none) << set;
    }
    // A user who may not create namespaces (in a chroot, say) can't change the bounding set.
    if (GetParam().user == 0 || HasOwnMount()) {
      EXPECT_EQ(Status(pid, "CapBnd"), none);
    }
    // Real, effective, saved, and of file systems.
    const auto user = ChangesUser() ? std::stoul(Status(pid, "Uid"))
                                    : static_cast<unsigned long>(GetParam().user);
    if (ChangesUser()) {
      EXPECT_GE(user, kFirstWorkerUid);
      EXPECT_LT(user, kFirstWorkerUid + kWorkerUids);
    }
    std::string users = std::to_string(user);
    for (int i = 1; i < 4; ++i) users += ' ' + std::to_string(user);
    for (const char* ids : {"Uid", "Gid"}) {
      EXPECT_EQ(Status(pid, ids), users) << ids;
    }
    EXPECT_EQ(Status(pid, "Groups"), "");
  }

  static void ExpectLimit(pid_t pid, const char* name, rlim_t max, const char* unit) {
    const std::string text = std::to_string(max);
    EXPECT_EQ(LineOf(ProcPath(pid, "limits"), name), text + ' ' + text + ' ' + unit) << name;
  }

  // Of the worker's descriptors iperf3 has only the lease, which is its standard input, and its
  // temporary file system.
  void ExpectFewDescriptors(pid_t iperf3) const {
    // Before it waits, the loader may have a library open.
    const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
    while (Status(iperf3, "State") != "S (sleeping)" && Clock::now() < deadline) {
      ::poll(nullptr, 0, 1);
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(ProcPath(iperf3, "fd")), {}),
              HasOwnMount() ? 4 : 3);
  }
};

TEST_P(WorkerSandboxTest, ReportsEachOfferedLayerAsEnabled) {
  ASSERT_EQ(ready_.error, "");
  for (const SandboxLayer layer :
       {SandboxLayer::kNoNewPrivileges, SandboxLayer::kDescriptors, SandboxLayer::kParentDeath,
        SandboxLayer::kNotDumpable, SandboxLayer::kRlimits, SandboxLayer::kEnvironment,
        SandboxLayer::kSeccomp, SandboxLayer::kCapabilities}) {
    EXPECT_EQ(StateOf(ready_, layer), LayerState::kEnabled) << Name(layer);
  }
  EXPECT_EQ(StateOf(ready_, SandboxLayer::kUser),
            ChangesUser() ? LayerState::kEnabled : LayerState::kNotOffered);
  const auto from_abi = [abi = LandlockAbi()](int first) {
    return abi >= first ? LayerState::kEnabled : LayerState::kNotOffered;
  };
  EXPECT_EQ(StateOf(ready_, SandboxLayer::kLandlock), from_abi(1));
  EXPECT_EQ(StateOf(ready_, SandboxLayer::kLandlockPorts), LayerState::kNotOffered);
  EXPECT_EQ(StateOf(ready_, SandboxLayer::kLandlockScope), from_abi(6));
  const LayerStates& iperf3 = ready_.sandbox.iperf3;
  EXPECT_EQ(iperf3[static_cast<std::size_t>(SandboxLayer::kLandlockPorts)], from_abi(4));
  EXPECT_EQ(iperf3[static_cast<std::size_t>(SandboxLayer::kLandlockScope)], from_abi(6));
}

TEST_P(WorkerSandboxTest, LayersAreVisibleFromOutside) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see another user's processes";
  const pid_t worker = worker_.pid();
  const Job job = MakeJob("wait");
  worker_.Send(job);
  const pid_t iperf3 = FindIperf3();
  ASSERT_GT(iperf3, 0);
  ExpectConfined(worker, 1);
  ExpectConfined(iperf3, 2);
  for (const pid_t pid : {worker, iperf3}) {
    ExpectLimit(pid, "Max address space", kAddressSpaceBytes, "bytes");
    ExpectLimit(pid, "Max core file size", kCoreLimitBytes, "bytes");
    ExpectLimit(pid, "Max stack size", kThreadStackBytes, "bytes");
    ExpectLimit(pid, "Max file size", kFileBytes, "bytes");
  }
  ExpectLimit(worker, "Max open files", kProgramFd, "files");
  ExpectLimit(iperf3, "Max open files", kIperf3Descriptors, "files");
  if (ChangesUser()) {
    ExpectLimit(worker, "Max processes", kTasks, "processes");
    ExpectLimit(iperf3, "Max processes", kTasks, "processes");
    // Each worker has a user of its own.
    EXPECT_NE(Status(other_worker_.pid(), "Uid"), Status(worker, "Uid"));
  } else {
    // In addition to the user's tasks, of which the kernel counts none of root's, but not more than
    // a small machine allows.
    rlimit inherited = {};
    ASSERT_EQ(::getrlimit(RLIMIT_NPROC, &inherited), 0);
    const rlim_t max = std::stoul(LineOf(ProcPath(iperf3, "limits"), "Max processes"));
    EXPECT_EQ(max > kTasksOfSharedUser,
              GetParam().user != 0 && inherited.rlim_max > kTasksOfSharedUser)
        << max;
  }
  EXPECT_NE(LineOf(ProcPath(iperf3, "limits"), "Max cpu time").find("seconds"), std::string::npos);
  // The files in /proc of a process that is not dumpable belong to root.
  struct stat info = {};
  EXPECT_EQ(::stat(ProcPath(worker, "fd").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0U);
  ExpectFewDescriptors(iperf3);
  EXPECT_EQ(std::filesystem::file_size(ProcPath(worker, "environ")), 0U);
  worker_.Send(wire::Cancel{});
  EXPECT_EQ(worker_.AwaitEnd().reason(), FailureReason::kCancelled);
}

TEST_P(WorkerSandboxTest, HasNamespacesOfItsOwnIfItReportsThem) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see another user's processes";
  const auto is_own = [this](const std::string& name) {
    return std::filesystem::read_symlink(ProcPath(worker_.pid(), ("ns/" + name).c_str())) !=
           std::filesystem::read_symlink("/proc/self/ns/" + name);
  };
  for (const char* name : {"mnt", "ipc", "uts"}) EXPECT_EQ(is_own(name), HasOwnMount()) << name;
  EXPECT_FALSE(is_own("net")) << "iperf3 measures the network of the host";
}

INSTANTIATE_TEST_SUITE_P(Starts, WorkerSandboxTest, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

// Otherwise a worker would keep a disk busy that the host unmounts.
TEST(WorkerMountsTest, FollowTheMountsOfTheHost) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to share mounts";
  // Its mounts are shared as long as a process stays in that namespace.
  const char* const script =
      R"((while kill -0 $$; do sleep 0.1; done) >/dev/null 2>&1 3>&- & exec "$0")";
  WorkerUnderTest worker({"unshare", "--mount", "--propagation=shared", "sh", "-c", script});
  WorkerConfig config;
  config.iperf3_path = BuiltProgram("fake_iperf3");
  ASSERT_EQ(worker.Configure(config).error, "");
  std::ifstream mounts(ProcPath(worker.pid(), "mountinfo"));
  const std::string text(std::istreambuf_iterator<char>(mounts), {});
  EXPECT_NE(text.find(" master:"), std::string::npos) << text;
  EXPECT_EQ(text.find(" shared:"), std::string::npos) << text;
}

// The worker's own files are not limited then, so iperf3 inherits no such limit.
class LogInFileTest : public WorkerSandboxTest {};

TEST_P(LogInFileTest, LimitsOnlyFilesOfIperf3) {
  ASSERT_EQ(ready_.error, "");
  if (!CanInspectWorker()) GTEST_SKIP() << "needs root, to see another user's processes";
  const Job job = MakeJob("wait");
  worker_.Send(job);
  const pid_t iperf3 = FindIperf3();
  ASSERT_GT(iperf3, 0);
  EXPECT_EQ(LineOf(ProcPath(worker_.pid(), "limits"), "Max file size"),
            "unlimited unlimited bytes");
  ExpectLimit(iperf3, "Max file size", kFileBytes, "bytes");
  worker_.Send(wire::Cancel{});
  EXPECT_EQ(worker_.AwaitEnd().reason(), FailureReason::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(Starts, LogInFileTest,
                         ::testing::Values(Start{
                             "Own",
                             {"sh", "-c",
                              "file=$(mktemp) && exec 2>\"$file\" && rm \"$file\" && exec \"$0\""},
                             ::geteuid()}),
                         [](const auto& start) { return std::string(start.param.name); });

// Under an outer filter that refuses what a layer needs.
struct RefusedCall {
  const char* call;
  SandboxLayer layer;
};

class RefusedLayerTest : public ::testing::TestWithParam<RefusedCall> {
 protected:
  void SetUp() override {
    if (GetParam().layer == SandboxLayer::kLandlock && LandlockAbi() == 0) {
      GTEST_SKIP() << "this kernel has no Landlock to refuse";
    }
  }

  static std::vector<std::string> Prefix() {
    return {BuiltProgram("refuse_calls"), GetParam().call, "--"};
  }

  static WorkerConfig Config(SandboxMode mode) {
    WorkerConfig config;
    config.iperf3_path = BuiltProgram("fake_iperf3");
    config.sandbox = mode;
    return config;
  }
};

TEST_P(RefusedLayerTest, IsAnErrorIfLayersAreRequired) {
  WorkerUnderTest worker(Prefix());
  const SetUpAnswer ready = worker.Configure(Config(SandboxMode::kRequire));
  const std::string expected =
      "cannot enable sandbox layer " + std::string(Name(GetParam().layer)) + ": ";
  EXPECT_EQ(ready.error.substr(0, expected.size()), expected);
  EXPECT_NE(ready.error.find("Operation not permitted"), std::string::npos) << ready.error;
  EXPECT_NE(worker.WaitForExit(), 0);
}

TEST_P(RefusedLayerTest, IsMissingWithBestEffort) {
  WorkerUnderTest worker(Prefix());
  const SetUpAnswer ready = worker.Configure(Config(SandboxMode::kBestEffort));
  EXPECT_EQ(ready.error, "");
  EXPECT_EQ(StateOf(ready, GetParam().layer), LayerState::kMissing);
  Job job;
  job.id = 1;
  job.address = ParseIpAddress("127.0.0.1").value();
  job.test.period_seconds = 1;
  const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
  job.times = BuildJobTimes(job.test, deadline, deadline);
  const JobEnd result = worker.Run(job);
  EXPECT_TRUE(result.Succeeded()) << result.detail();
}

INSTANTIATE_TEST_SUITE_P(Layers, RefusedLayerTest,
                         ::testing::Values(RefusedCall{"seccomp", SandboxLayer::kSeccomp},
                                           RefusedCall{"landlock_restrict_self",
                                                       SandboxLayer::kLandlock}),
                         [](const auto& refused) { return std::string(refused.param.call); });

}  // namespace
}  // namespace iperf3_exporter
