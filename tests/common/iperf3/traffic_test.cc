#include "common/iperf3/traffic.h"

#include <gtest/gtest.h>

#include <cmath>

namespace iperf3_exporter {
namespace {

constexpr double kMegabyte = 1e6;

// By how much the estimate of both directions exceeds the payload of an upload.
double Overhead(const TestOptions& test, bool is_v6, double datagram_bytes = 0) {
  const Traffic traffic = EstimateTraffic(test, is_v6, {.bytes = kMegabyte}, {}, datagram_bytes);
  return static_cast<double>(traffic.Total()) / kMegabyte - 1;
}

TEST(TrafficTest, CountsTheHeadersOfSegmentsAndAcknowledgements) {
  EXPECT_NEAR(Overhead({}, false), 52 * 1.5 / 1448, 0.0005);
  EXPECT_NEAR(Overhead({}, true), 72 * 1.5 / 1428, 0.0005);
  EXPECT_NEAR(Overhead({.mss_bytes = 500}, false), 52 * 1.5 / 500, 0.0005);
  EXPECT_NEAR(Overhead({.mptcp = true}, false), 72 * 1.5 / 1428, 0.0005);
  // Small blocks: each is a segment, and acknowledged.
  EXPECT_NEAR(Overhead({.length_bytes = 100}, false), 52 * 2.0 / 100, 0.0005);
  EXPECT_NEAR(Overhead({.length_bytes = 131072}, false), 52 * 1.5 / 1448, 0.0005);
  const Traffic traffic = EstimateTraffic({}, false, {.bytes = 1448 * 10}, {});
  EXPECT_EQ(traffic, (Traffic{.upload_bytes = 15000, .download_bytes = std::uint64_t{5} * 52}));
}

TEST(TrafficTest, CountsTheHeadersOfDatagramsAndFragments) {
  const TestOptions udp{.protocol = Protocol::kUdp};
  EXPECT_NEAR(Overhead(udp, false), 28.0 / 1448, 0.0005);
  EXPECT_NEAR(Overhead(udp, true, 1000), 48.0 / 1000, 0.0005);
  EXPECT_NEAR(Overhead(udp, false, 8192), (8 + 6 * 20.0) / 8192, 0.0005);
  EXPECT_NEAR(Overhead(udp, true, 8192), (8 + 6 * 48.0) / 8192, 0.0005);
  EXPECT_EQ(EstimateTraffic(udp, false, {.bytes = 1000}, {}, 100).download_bytes, 0U);
}

TEST(TrafficTest, KeepsTheDirectionsApart) {
  const Traffic traffic = EstimateTraffic({}, false, {}, {.bytes = 1448 * 10});
  EXPECT_EQ(traffic, (Traffic{.upload_bytes = std::uint64_t{5} * 52, .download_bytes = 15000}));
  EXPECT_EQ(EstimateTraffic({}, false, {}, {}), Traffic{});
  EXPECT_EQ(EstimateTraffic({}, false, {.retransmits = 2}, {}).upload_bytes, 3000U);
}

TEST(TrafficTest, NumbersOfAHostileReportStayInRange) {
  for (const double number : {-1.0, std::nan(""), -HUGE_VAL}) {
    EXPECT_EQ(EstimateTraffic({}, false, {.bytes = number, .retransmits = number}, {}), Traffic{});
  }
  for (const double number : {1e300, HUGE_VAL}) {
    const Traffic traffic =
        EstimateTraffic({}, false, {.bytes = number, .retransmits = number}, {.bytes = number});
    EXPECT_EQ(traffic, (Traffic{kMaxTrafficBytes, kMaxTrafficBytes}));
  }
  const TestOptions udp{.protocol = Protocol::kUdp};
  EXPECT_GT(EstimateTraffic(udp, false, {.bytes = 1e9}, {}, 1e-300).upload_bytes, 0U);
}

// The worst case of `test` over what its payload, in both directions, costs without any margin.
double Margin(const TestOptions& test, double payload) {
  return static_cast<double>(WorstCaseBytes(test).value()) / payload;
}

TEST(TrafficTest, TheWorstCaseOfABitrateFollowsItsTime) {
  // 10 Mbit/s for 61 s and a block of 128 KiB.
  const TestOptions upload{.period_seconds = 60, .bitrate_bits_per_second = 10'000'000};
  const double payload = 1.25e6 * 61 + 131072;
  EXPECT_NEAR(Margin(upload, payload), 1.05 * (1 + 72 * 1.5 / 1208), 0.001);
  TestOptions test = upload;
  test.parallel = 4;
  EXPECT_NEAR(Margin(test, 4 * payload), Margin(upload, payload), 0.001);
  test = upload;
  test.direction = Direction::kBidirectional;
  EXPECT_NEAR(Margin(test, 2 * payload), Margin(upload, payload), 0.001);
  test = upload;
  test.omit_seconds = 10;
  EXPECT_NEAR(Margin(test, 1.25e6 * 71 + 131072), Margin(upload, payload), 0.001);
}

TEST(TrafficTest, TheWorstCaseOfUdpHasIperf3sDefaultBitrate) {
  const TestOptions test{.protocol = Protocol::kUdp, .period_seconds = 9};
  EXPECT_NEAR(Margin(test, 1.25e5 * 10 + 131072), 1 + 48.0 / 1448 + 56.0 / 1448, 0.06);
}

TEST(TrafficTest, TheWorstCaseOfANumberOfBytesHasWhatBuffersHold) {
  TestOptions test{.parallel = 2, .bytes = 100'000'000, .bitrate_bits_per_second = 0};
  const double buffers = 2 * (131072.0 + (4 << 20));
  const double overhead = 1.05 * (1 + 72 * 1.5 / 1208);
  EXPECT_NEAR(Margin(test, 1e8 + buffers), overhead, 0.001);
  test.window_bytes = 8 << 20;
  EXPECT_NEAR(Margin(test, 1e8 + 2 * (131072.0 + (16 << 20))), overhead, 0.001);
  // The bitrate limits the omitted seconds, which do not count, and the time.
  test.omit_seconds = 1;
  EXPECT_FALSE(WorstCaseBytes(test));
  test.bitrate_bits_per_second = 8000;
  EXPECT_NEAR(Margin(test, 2 * (1000.0 * (1 + 5 + 7) + 131072)), overhead, 0.001);
}

TEST(TrafficTest, SomeTestsHaveNoWorstCase) {
  EXPECT_FALSE(WorstCaseBytes({}));
  EXPECT_FALSE(WorstCaseBytes({.bitrate_bits_per_second = 0}));
  EXPECT_FALSE(WorstCaseBytes({.protocol = Protocol::kUdp, .bitrate_bits_per_second = 0}));
  // Some versions of iperf3 ignore a bitrate that has a burst.
  const TestOptions burst{.bitrate_bits_per_second = 1'000'000, .burst_packets = 10};
  EXPECT_FALSE(WorstCaseBytes(burst));
  EXPECT_FALSE(LimitOf(burst));
  EXPECT_EQ(LimitOf({.parallel = 2, .bitrate_bits_per_second = 1000}), 2000.0);
}

TEST(TrafficTest, TheWorstCaseIsNeverLessThanTheEstimate) {
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    for (const std::uint64_t length : {0, 16, 1000, 9000, 60000}) {
      TestOptions test{.protocol = protocol, .bitrate_bits_per_second = 1'000'000};
      if (length != 0) test.length_bytes = length;
      const Payload payload{.bytes = 1.25e5 * test.period_seconds, .retransmits = 2};
      for (const bool is_v6 : {false, true}) {
        EXPECT_GT(WorstCaseBytes(test),
                  EstimateTraffic(test, is_v6, payload, {}, static_cast<double>(length)).Total())
            << length;
      }
    }
  }
}

}  // namespace
}  // namespace iperf3_exporter
