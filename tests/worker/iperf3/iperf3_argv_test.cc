#include "worker/iperf3/iperf3_argv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

Iperf3Command CommandTo(const char* address) {
  Iperf3Command command;
  command.address = ParseIpAddress(address).value();
  command.port = 5202;
  command.connect_timeout = milliseconds(1500);
  return command;
}

constexpr Iperf3Capabilities kAll = {
    .options = ~0ULL, .authentication = true, .connect_timeout = true, .udp_counters_64bit = true};

// The arguments after those of every command line.
std::vector<std::string> Extra(const TestOptions& test) {
  Iperf3Command command = CommandTo("192.0.2.1");
  command.test = test;
  std::vector<std::string> argv =
      BuildIperf3Argv(command, test.period_seconds, {.connect_timeout = true});
  argv.erase(argv.begin(), argv.begin() + 13);
  return argv;
}

TEST(Iperf3ArgvTest, ContainsTheServerAndTheShortenedPeriod) {
  EXPECT_THAT(BuildIperf3Argv(CommandTo("192.0.2.1"), 3, kAll),
              ElementsAre("iperf3", "-J", "-4", "-c", "192.0.2.1", "-p", "5202", "-t", "3", "-i",
                          "1", "--connect-timeout", "1500"));
}

TEST(Iperf3ArgvTest, ContainsTheUserAndTheKeysPathButNotThePassword) {
  TestCredentials credentials = {"probe", "secret", "PEM"};
  Iperf3Command command = CommandTo("192.0.2.1");
  command.credentials = &credentials;
  command.public_key_path = "/tmp/key";
  const auto extra = [&](const Iperf3Capabilities& capabilities) {
    std::vector<std::string> argv = BuildIperf3Argv(command, 1, capabilities);
    argv.erase(argv.begin(), argv.begin() + 11);
    return argv;
  };
  const auto plain = ElementsAre("--username", "probe", "--rsa-public-key-path", "/tmp/key");
  EXPECT_THAT(extra({.pkcs1_padding = true}), plain);
  credentials.pkcs1_padding = true;
  EXPECT_THAT(extra({.pkcs1_padding = false}), plain) << "an old iperf3 has no other padding";
  EXPECT_THAT(extra({.pkcs1_padding = true}),
              ElementsAre("--username", "probe", "--rsa-public-key-path", "/tmp/key",
                          "--use-pkcs1-padding"));
}

TEST(Iperf3ArgvTest, KeepsTheScopeOfAnIpv6Address) {
  EXPECT_THAT(
      BuildIperf3Argv(CommandTo("fe80::1%7"), 1, {}),
      ElementsAre("iperf3", "-J", "-6", "-c", "fe80::1%7", "-p", "5202", "-t", "1", "-i", "1"));
}

TEST(Iperf3ArgvTest, BuildsEachOptionFromItsField) {
  EXPECT_THAT(Extra({}), ElementsAre());
  EXPECT_THAT(Extra({.protocol = Protocol::kUdp}), ElementsAre("-u"));
  EXPECT_THAT(Extra({.direction = Direction::kDownload}), ElementsAre("-R"));
  EXPECT_THAT(Extra({.direction = Direction::kBidirectional}), ElementsAre("--bidir"));
  EXPECT_THAT(Extra({.parallel = 8}), ElementsAre("-P", "8"));
  EXPECT_THAT(Extra({.omit_seconds = 2}), ElementsAre("-O", "2"));
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 100'000'000}), ElementsAre("-b", "100000000"));
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 0, .burst_packets = 10}),
              ElementsAre("-b", "0/10"));
  EXPECT_THAT(Extra({.window_bytes = 65536}), ElementsAre("-w", "65536"));
  EXPECT_THAT(Extra({.mss_bytes = 1400}), ElementsAre("-M", "1400"));
  EXPECT_THAT(Extra({.length_bytes = 8192}), ElementsAre("-l", "8192"));
  EXPECT_THAT(Extra({.dscp = 46}), ElementsAre("-S", "184"));
  EXPECT_THAT(Extra({.client_port = 6000}), ElementsAre("--cport", "6000"));
  EXPECT_THAT(Extra({.bind_address = ParseIpAddress("127.0.0.9")}), ElementsAre("-B", "127.0.0.9"));
  EXPECT_THAT(Extra({.bind_device = "eth0"}), ElementsAre("--bind-dev", "eth0"));
  EXPECT_THAT(Extra({.congestion = "cubic"}), ElementsAre("-C", "cubic"));
  EXPECT_THAT(Extra({.no_delay = true}), ElementsAre("-N"));
  EXPECT_THAT(Extra({.zerocopy = true}), ElementsAre("-Z"));
  EXPECT_THAT(Extra({.mptcp = true}), ElementsAre("--mptcp"));
  EXPECT_THAT(Extra({.dont_fragment = true}), ElementsAre("--dont-fragment"));
  EXPECT_THAT(Extra({.gso = true}), ElementsAre("--gsro"));
  EXPECT_THAT(Extra({.skip_rx_copy = true}), ElementsAre("--skip-rx-copy"));
}

TEST(Iperf3ArgvTest, WritesShortBlocksAtALowBitrate) {
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 1'000'000}),
              ElementsAre("-l", "6250", "-b", "1000000"));
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 1}), ElementsAre("-l", "1", "-b", "1"));
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 20'971'359}),
              ElementsAre("-l", "131070", "-b", "20971359"));
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 20'971'520}), ElementsAre("-b", "20971520"));
  EXPECT_THAT(Extra({.bitrate_bits_per_second = 1'000'000, .length_bytes = 8192}),
              ElementsAre("-b", "1000000", "-l", "8192"));
  EXPECT_THAT(Extra({.protocol = Protocol::kUdp, .bitrate_bits_per_second = 1'000'000}),
              ElementsAre("-u", "-b", "1000000"));
}

TEST(Iperf3ArgvTest, WritesShortBlocksWithManyStreams) {
  EXPECT_THAT(Extra({.parallel = 9}), ElementsAre("-l", "116508", "-P", "9"));
  EXPECT_THAT(Extra({.parallel = 32}), ElementsAre("-l", "32768", "-P", "32"));
  EXPECT_THAT(Extra({.parallel = 128}), ElementsAre("-l", "16384", "-P", "128"));
  EXPECT_THAT(Extra({.parallel = 128, .bitrate_bits_per_second = 1'000'000}),
              ElementsAre("-l", "6250", "-P", "128", "-b", "1000000"));
  EXPECT_THAT(Extra({.parallel = 128, .length_bytes = 131'072}),
              ElementsAre("-P", "128", "-l", "131072"));
  EXPECT_THAT(Extra({.protocol = Protocol::kUdp, .parallel = 128}), ElementsAre("-u", "-P", "128"));
}

TEST(Iperf3ArgvTest, EndsByBytesInsteadOfByTime) {
  Iperf3Command command = CommandTo("192.0.2.1");
  command.test.bytes = 1U << 20;
  EXPECT_THAT(BuildIperf3Argv(command, 5, {}),
              ElementsAre("iperf3", "-J", "-4", "-c", "192.0.2.1", "-p", "5202", "-i", "0.1", "-n",
                          "1048576"));
  EXPECT_EQ(BuildIperf3Argv(command, 90, {})[8], "1.5");
  EXPECT_EQ(BuildIperf3Argv(command, 86400, {})[8], "60.0");
}

TEST(Iperf3ArgvTest, UsesUdpCounters64BitIfSupported) {
  Iperf3Command command = CommandTo("192.0.2.1");
  command.test.protocol = Protocol::kUdp;
  EXPECT_THAT(BuildIperf3Argv(command, 1, kAll), Contains("--udp-counters-64bit"));
  EXPECT_THAT(BuildIperf3Argv(command, 1, {}), Not(Contains("--udp-counters-64bit")));
  command.test.protocol = Protocol::kTcp;
  EXPECT_THAT(BuildIperf3Argv(command, 1, kAll), Not(Contains("--udp-counters-64bit")));
}

TEST(Iperf3ArgvTest, LimitsTheNumberOfIntervals) {
  EXPECT_EQ(IntervalSeconds(1), 1U);
  EXPECT_EQ(IntervalSeconds(60), 1U);
  EXPECT_EQ(IntervalSeconds(61), 2U);
  EXPECT_EQ(IntervalSeconds(3600), 60U);
  EXPECT_EQ(IntervalSeconds(86400), 60U);
}

}  // namespace
}  // namespace iperf3_exporter
