#include "common/iperf3/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/iperf3/option_text.h"
#include "common/overloaded.h"
#include "common/wire/wire.h"

namespace iperf3_exporter {
namespace {

const TestOption& Row(std::string_view name) {
  const auto row = std::ranges::find(kTestOptions, name, &TestOption::name);
  EXPECT_NE(row, kTestOptions.end()) << name;
  return *row;
}

// The test that a worker receives.
Result<TestOptions> Carry(const TestOptions& test) {
  Job job;
  job.test = test;
  const auto command = wire::DecodeCommand(wire::Encode(job));
  if (!command) return tl::unexpected(command.error());
  return std::get<Job>(*command).test;
}

// A text that a row accepts, and the member that it sets.
struct Sample {
  std::string_view name;
  std::string_view text;
  TestOptions test;
};

std::vector<Sample> Samples() {
  return {
      {"reverse_mode", "true", {.direction = Direction::kDownload}},
      {"udp_mode", "1", {.protocol = Protocol::kUdp}},
      {"bidirectional", "t", {.direction = Direction::kBidirectional}},
      {"period", "1m", {.period_seconds = 60}},
      {"bytes", "2K", {.bytes = 2048}},
      {"parallel", "128", {.parallel = 128}},
      {"omit", "1.5s", {.omit_seconds = 2}},
      {"bitrate", "1M/10", {.bitrate_bits_per_second = 1'000'000, .burst_packets = 10}},
      {"bind_device", "eth0.1", {.bind_device = "eth0.1"}},
      {"window", "1M", {.window_bytes = 1U << 20}},
      {"mss", "1400", {.mss_bytes = 1400}},
      {"length", "1M", {.length_bytes = 1U << 20}},
      {"congestion", "bbr", {.congestion = "bbr"}},
      {"dscp", "ef", {.dscp = 46}},
      {"cport", "1024", {.client_port = 1024}},
      {"no_delay", "true", {.no_delay = true}},
      {"zerocopy", "true", {.zerocopy = true}},
      {"mptcp", "true", {.mptcp = true}},
      {"dont_fragment", "true", {.protocol = Protocol::kUdp, .dont_fragment = true}},
      {"gso", "true", {.protocol = Protocol::kUdp, .gso = true}},
      {"skip_rx_copy", "true", {.skip_rx_copy = true}},
  };
}

TEST(OptionTableTest, EveryRowHasASampleHere) {
  std::set<std::string_view> names;
  for (const Sample& sample : Samples()) names.insert(sample.name);
  for (const TestOption& option : kTestOptions) {
    if (std::holds_alternative<RequestValue>(option.kind)) continue;
    EXPECT_EQ(names.count(option.name), 1U) << option.name;
    EXPECT_EQ(option.argument.empty(), option.name == "period") << option.name;
  }
}

TEST(OptionTableTest, ParsesAndSendsEachOption) {
  for (const Sample& sample : Samples()) {
    SCOPED_TRACE(sample.name);
    const TestOption& option = Row(sample.name);
    TestOptions test;
    test.protocol = option.only_with.value_or(Protocol::kTcp);
    EXPECT_FALSE(IsSet(option, test));
    ASSERT_TRUE(ParseOption(option, sample.text, test));
    EXPECT_EQ(test, sample.test);
    EXPECT_TRUE(IsSet(option, test));
    EXPECT_EQ(Carry(test).value(), test);
  }
}

TEST(OptionTableTest, RefusesNumbersOutOfBounds) {
  struct {
    std::string_view name;
    Bounds tcp, udp;
  } const cases[] = {
      {"period", {0, 86400}, {0, 86400}},
      {"bytes", {1, 1ULL << 50}, {1, 1ULL << 50}},
      {"parallel", {1, 128}, {1, 128}},
      {"omit", {0, 60}, {0, 60}},
      {"window", {1, 512U << 20}, {1, 512U << 20}},
      {"mss", {88, 9216}, {88, 9216}},
      {"length", {1, 1U << 20}, {16, 65507}},
      {"dscp", {0, 63}, {0, 63}},
      {"cport", {1024, 65535}, {1024, 65535}},
  };
  for (const auto& c : cases) {
    const TestOption& option = Row(c.name);
    const auto& number = std::get<NumberOption>(option.kind);
    for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
      SCOPED_TRACE(std::string(c.name) + (protocol == Protocol::kUdp ? " UDP" : " TCP"));
      const Bounds& bounds = protocol == Protocol::kUdp ? c.udp : c.tcp;
      TestOptions test{.protocol = protocol};
      for (const std::uint64_t good : {bounds.min, bounds.max}) {
        EXPECT_TRUE(ParseOption(option, std::to_string(good), test)) << good;
        if (good == 0 && c.name != "dscp") continue;  // means the default
        EXPECT_EQ(GetNumber(number, test), good);
        EXPECT_TRUE(Carry(test)) << good;
      }
      for (const std::uint64_t bad : {bounds.min - 1, bounds.max + 1}) {
        EXPECT_FALSE(ParseOption(option, std::to_string(bad), test)) << bad;
        TestOptions wrong{.protocol = protocol};
        SetNumber(number, bad, wrong);
        EXPECT_FALSE(Carry(wrong)) << bad;
      }
    }
  }
}

// RFC 2474: cs is the upper three bits. RFC 2597: af adds a drop precedence in the next two.
TEST(OptionTableTest, KnowsEveryDscpClass) {
  const auto dscp = [](const std::string& name) {
    TestOptions test;
    EXPECT_TRUE(ParseOption(Row("dscp"), name, test)) << name;
    return test.dscp;
  };
  for (std::uint32_t upper = 0; upper < 8; ++upper) {
    EXPECT_EQ(dscp("cs" + std::to_string(upper)), upper << 3) << upper;
    for (std::uint32_t drop = 1; upper >= 1 && upper <= 4 && drop <= 3; ++drop) {
      EXPECT_EQ(dscp("af" + std::to_string(upper * 10 + drop)), upper << 3 | drop << 1) << upper;
    }
  }
  EXPECT_EQ(dscp("ef"), 46U);
}

TEST(OptionTableTest, AppliesAFurtherUpperBound) {
  TestOptions test;
  EXPECT_TRUE(ParseOption(Row("parallel"), "8", test, 8));
  const Status status = ParseOption(Row("parallel"), "9", test, 8);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "must be an integer from 1 to 8");
}

TEST(OptionTableTest, AWorkerRefusesImpossibleRequests) {
  EXPECT_FALSE(Carry({.period_seconds = 0}));
  EXPECT_FALSE(Carry({.bitrate_bits_per_second = kMaxBitsPerSecond64 + 1}));
  EXPECT_FALSE(Carry({.burst_packets = 0}));
  EXPECT_FALSE(Carry({.burst_packets = kMaxBurstPackets + 1}));
  EXPECT_FALSE(Carry({.bind_device = "-x"}));
  EXPECT_FALSE(Carry({.congestion = "Cubic"}));
  EXPECT_FALSE(Carry({.parallel = 4, .client_port = 65533}));
}

TEST(OptionTableTest, FindsOptionsInTheHelpText) {
  const Iperf3Capabilities some = ParseIperf3Help("  --bidir   run\n  --cport <port>\n");
  EXPECT_TRUE(HasOption(some, Row("bidirectional")));
  EXPECT_TRUE(HasOption(some, Row("cport")));
  EXPECT_FALSE(HasOption(some, Row("bind_device")));
  EXPECT_TRUE(HasOption(some, Row("udp_mode")));
  EXPECT_FALSE(some.authentication);
  EXPECT_FALSE(some.connect_timeout);
  EXPECT_FALSE(some.udp_counters_64bit);
  EXPECT_EQ(ParseIperf3Help(""), Iperf3Capabilities{});
  const Iperf3Capabilities automatic = ParseIperf3Help("--connect-timeout --udp-counters-64bit");
  const Iperf3Capabilities authentication = ParseIperf3Help("--rsa-public-key-path path");
  EXPECT_TRUE(authentication.authentication);
  EXPECT_FALSE(authentication.pkcs1_padding);
  EXPECT_TRUE(ParseIperf3Help("--use-pkcs1-padding").pkcs1_padding);
  EXPECT_TRUE(automatic.connect_timeout && automatic.udp_counters_64bit);
}

}  // namespace
}  // namespace iperf3_exporter
