#include "worker/iperf3/udp_loss.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

// A test of 10 s at 100 packets per second; the receiver missed 200 of the 990 that it knows of.
class UdpLossTest : public testing::Test {
 protected:
  double Lost() const { return CountLostPackets(counts_); }

  UdpCounts counts_ = {.sent = 1000,
                       .received = 790,
                       .sent_seconds = 10,
                       .received_seconds = 10,
                       .known = 990,
                       .gaps = 200};
};

TEST_F(UdpLossTest, TakesTheGapsThatAgreeWithTheBytes) {
  EXPECT_EQ(Lost(), 200);
  counts_.has_omit = true;
  EXPECT_EQ(Lost(), 200);
  counts_.known = 1005;  // the two sides stop omitting at different moments
  counts_.gaps = 215;
  EXPECT_EQ(Lost(), 215);
}

TEST_F(UdpLossTest, CountsTheGapsThatAreNotPrinted) {
  counts_.gaps = 0;
  EXPECT_EQ(Lost(), 200);
  counts_.gaps = std::nullopt;
  EXPECT_EQ(Lost(), 200);
}

TEST_F(UdpLossTest, ComparesTheSidesWithoutKnownPackets) {
  counts_.known = std::nullopt;
  EXPECT_EQ(Lost(), 210);
  counts_.received = 990;
  EXPECT_EQ(Lost(), 10);
}

// Real ones, without loss: the message that opens a stream arrived twice. Its number was high, or
// negative.
TEST_F(UdpLossTest, IgnoresNumbersThatComeFromACopyOfTheFirstMessage) {
  counts_ = {.sent = 348,
             .received = 348,
             .sent_seconds = 1,
             .received_seconds = 1,
             .known = 1623173434,
             .gaps = 1623173085};
  EXPECT_EQ(Lost(), 0);
  counts_.known = 260;
  counts_.gaps = std::nullopt;
  EXPECT_EQ(Lost(), 0);
  counts_.received = 300;
  EXPECT_EQ(Lost(), 48);
  counts_.known = 1623173434;
  EXPECT_EQ(Lost(), 48);
  counts_.gaps = 1623173134;  // agree with the bytes received
  EXPECT_EQ(Lost(), 48);
}

TEST_F(UdpLossTest, ComparesTheRatesIfGapsIncludeOmittedSeconds) {
  counts_.has_omit = true;
  counts_.gaps = 450;
  EXPECT_EQ(Lost(), 210);
  counts_.received_seconds = 10.5;  // began to count earlier
  EXPECT_EQ(Lost(), 260);
  counts_.gaps = 230;  // the omitted seconds included
  EXPECT_EQ(Lost(), 230);
  counts_.known = counts_.gaps = std::nullopt;
  EXPECT_EQ(Lost(), 260);
}

// A real one: 863 omitted packets and the first 137 measured ones were dropped.
TEST_F(UdpLossTest, DoesNotCountOmittedPacketsOfWhichNoneArrived) {
  counts_ = {.sent = 2591,
             .received = 2454,
             .sent_seconds = 3,
             .received_seconds = 3,
             .known = 3454,
             .gaps = 1000,
             .has_omit = true};
  EXPECT_EQ(Lost(), 137);
}

TEST_F(UdpLossTest, NothingIsLostWithoutGapsInOmittedAndMeasuredSeconds) {
  counts_ = {.sent = 1000,
             .received = 995,
             .sent_seconds = 10,
             .received_seconds = 10,
             .known = 1001,
             .gaps = 0,
             .has_omit = true};
  EXPECT_EQ(Lost(), 0);
}

TEST_F(UdpLossTest, LosesWhatIsMissingAtTheEndBeyondTheTail) {
  counts_ = {.sent = 1000,
             .received = 980,
             .sent_seconds = 10,
             .received_seconds = 10,
             .known = 980,
             .gaps = 0};
  EXPECT_EQ(Lost(), 0);  // 0.2 s
  counts_.known = counts_.received = 979;
  EXPECT_EQ(Lost(), 21);
  counts_.known = counts_.received = 400;
  EXPECT_EQ(Lost(), 600);
  counts_.gaps = 100;
  counts_.received = 300;
  EXPECT_EQ(Lost(), 700);
}

TEST_F(UdpLossTest, AllowsForASharePacketsOnTheirWayInALongTest) {
  counts_ = {.sent = 10'000,
             .received = 9900,
             .sent_seconds = 100,
             .received_seconds = 100,
             .known = 9900,
             .gaps = 0};
  EXPECT_EQ(Lost(), 0);  // 1 %
  counts_.known = counts_.received = 9899;
  EXPECT_EQ(Lost(), 101);
}

// The server sends until it hears of the end: one round trip longer.
TEST_F(UdpLossTest, AllowsForTheRoundTripOfADownload) {
  counts_ = {.sent = 1060,
             .received = 1000,
             .sent_seconds = 10.6,
             .received_seconds = 10,
             .known = 1000,
             .gaps = 0};
  EXPECT_EQ(Lost(), 0);
  counts_.received_seconds = 10.6;
  EXPECT_EQ(Lost(), 60);
  counts_.received_seconds = 12;  // listening longer explains nothing
  EXPECT_EQ(Lost(), 60);
}

TEST_F(UdpLossTest, StaysBetweenNothingAndEverything) {
  counts_.received = 2000;  // duplicates
  EXPECT_EQ(Lost(), 0);
  counts_ = {.sent = 10,
             .received = 5,
             .sent_seconds = 1,
             .received_seconds = 1,
             .known = 1e18,
             .gaps = 0};
  EXPECT_EQ(Lost(), 5);
  counts_.received = 0;
  EXPECT_EQ(Lost(), 10);
}

}  // namespace
}  // namespace iperf3_exporter
