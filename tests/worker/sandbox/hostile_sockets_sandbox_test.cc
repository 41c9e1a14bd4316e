// What a compromised iperf3 can still do with sockets.
#include <gtest/gtest.h>

#include "tests/worker/sandbox/confined_iperf3.h"
#include "worker/sandbox/landlock.h"

namespace iperf3_exporter {
namespace {

constexpr Attack kAttacks[] = {
    {"netlink", "refused: EAFNOSUPPORT"},
    {"packet", "refused: EAFNOSUPPORT"},
    {"unix", "refused: EAFNOSUPPORT"},
    {"vsock", "refused: EAFNOSUPPORT"},
    {"raw", kKilled},
    {"raw6", kKilled},
    {"sctp", kKilled},
    {"ping", kKilled},
    {"ping6", kKilled},
    {"mptcp", kKilled},
    {"tcp", kAllowed},
    {"udp", kAllowed},
    {"connect", kAllowed},
    {"shut-own", kAllowed},
    {"shut-error", kKilled},
    {"shut-output", kKilled},
    {"unblock-error", kKilled},
    {"set-error", kKilled},
    {"fast-open", kKilled},
    {"fast-connect", kKilled},
    {"fast-open-msg", kKilled},
    {"sendmsg", kAllowed},
    {"recvmsg", kAllowed},
    {"sendmmsg", kKilled},
    {"map-socket", kKilled},
    {"listen", kKilled},
    {"accept", kKilled},
};

constexpr Attack kOptions[] = {
    {"set-all", kAllowed},    {"get-all", kAllowed},      {"attach-filter", kKilled},
    {"attach-low", kKilled},  {"bind-device", kKilled},   {"join-group", kKilled},
    {"join-group6", kKilled}, {"broadcast", kKilled},     {"mark", kKilled},
    {"udp-encap", kKilled},   {"tcp-ulp", kKilled},       {"ip-options", kKilled},
    {"repair", kKilled},      {"get-filter", kKilled},    {"receive-map", kKilled},
    {"get-pidfd", kKilled},   {"get-pidfd-low", kKilled},
};

constexpr Attack kPortAttacks[] = {
    {"connect", kAllowed},
    {"connect-other", "refused: EACCES"},
    {"bind", "refused: EACCES"},
};

class HostileSocketsTest : public ConfinedIperf3Test {
 protected:
  HostileSocketsTest() : ConfinedIperf3Test("hostile_sockets") {}
};

TEST_P(HostileSocketsTest, AreLimitedToTcpAndUdp) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kAttacks);
}

TEST_P(HostileSocketsTest, AreLimitedToOptionsOfIperf3) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kOptions);
}

TEST_P(HostileSocketsTest, ConnectOnlyToTheServer) {
  ASSERT_EQ(ready_.error, "");
  if (LandlockAbi() < kLandlockAbiWithPorts) GTEST_SKIP() << "this kernel has no port rules";
  ExpectEach(kPortAttacks);
}

// The next job of the same worker must not inherit it.
TEST_P(HostileSocketsTest, BindToADeviceOnlyIfTheJobRequestsIt) {
  ASSERT_EQ(ready_.error, "");
  Job job = MakeJob("bind-device");
  job.test.bind_device = "lo";
  const JobEnd result = worker_.Run(job);
  EXPECT_EQ(Outcome(result), kAllowed) << Describe(result);
  EXPECT_EQ(Outcome(Run("bind-device")), kKilled);
}

TEST_P(HostileSocketsTest, UseMultipathTcpOnlyIfTheJobRequestsIt) {
  ASSERT_EQ(ready_.error, "");
  Job job = MakeJob("mptcp");
  job.test.mptcp = true;
  EXPECT_NE(Outcome(worker_.Run(job)), kKilled);
  EXPECT_EQ(Outcome(Run("mptcp")), kKilled);
}

INSTANTIATE_TEST_SUITE_P(Starts, HostileSocketsTest, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
