// What a compromised iperf3 can still do: attack by attack, for each way to start a worker.
#include <gtest/gtest.h>

#include "tests/worker/sandbox/confined_iperf3.h"

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
#ifdef __x86_64__
    {"map-vdso", kKilled},
    {"ask-shadow", "refused: EINVAL"},
    {"ask-cet", "refused: EINVAL"},
    {"fork", kKilled},
    {"int80", kKilled},
    {"x32", kKilled},
#endif
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
    {"uname", kAllowed},
};

class HostileIperf3Test : public ConfinedIperf3Test {
 protected:
  HostileIperf3Test() : ConfinedIperf3Test("hostile_iperf3") {}
};

TEST_P(HostileIperf3Test, IsConfinedBySystemCallFilters) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kAttacks);
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
    EXPECT_TRUE(named.Succeeded()) << Describe(named);
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
