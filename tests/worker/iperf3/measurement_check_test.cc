#include "worker/iperf3/measurement_check.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class MeasurementCheckTest : public testing::Test {
 protected:
  static DirectionMeasurement Direction(double time, double sent, double received) {
    DirectionMeasurement direction;
    direction.sent_seconds = direction.received_seconds = time;
    direction.sent_bytes = sent;
    direction.received_bytes = received;
    return direction;
  }

  bool Agrees() const {
    Measurement measurement;
    (is_download_ ? measurement.download : measurement.upload) = direction_;
    return !FindContradiction(measurement, expected_);
  }

  DirectionMeasurement direction_ = Direction(10, 1e9, 1e9);
  bool is_download_ = false;
  Expectation expected_{.period = seconds(10), .run_time = milliseconds(10'050)};
};

TEST_F(MeasurementCheckTest, AcceptsAnOrdinaryTest) {
  EXPECT_TRUE(Agrees());
  is_download_ = true;
  EXPECT_TRUE(Agrees());
}

// A server that answers the cookie with DISPLAY_RESULTS alone: nothing ran, 0 s, 0 bytes.
TEST_F(MeasurementCheckTest, RefusesATestOfNoTime) {
  direction_ = Direction(0, 0, 0);
  expected_.run_time = milliseconds(40);
  EXPECT_FALSE(Agrees());
  expected_.test.bytes = 1;
  EXPECT_FALSE(Agrees());
}

// The same 0.2 s into a test of 10 s: iperf3 takes the host's uptime for the length of the test.
TEST_F(MeasurementCheckTest, RefusesATestLongerThanTheProcessRan) {
  direction_ = Direction(1887, 1e6, 1e6);
  expected_.run_time = milliseconds(240);
  EXPECT_FALSE(Agrees());
  // Above two days it is left out as implausible.
  direction_.sent_seconds = direction_.received_seconds = std::nullopt;
  EXPECT_FALSE(Agrees());
  is_download_ = true;
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, ChecksThePeersSecondsToo) {
  direction_.received_seconds = 1887;
  EXPECT_FALSE(Agrees());
  direction_.received_seconds = 5;
  EXPECT_FALSE(Agrees());
  direction_.received_seconds = std::nullopt;  // null: fails no test
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, NeedsThePeriodUnlessBytesEndTheTest) {
  direction_ = Direction(8.9, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  direction_ = Direction(9.1, 1e9, 1e9);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(0.004, 1e9, 1e9);
  EXPECT_FALSE(Agrees());
  expected_.test.bytes = 1;
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, AllowsForAPeersClock) {
  direction_.received_seconds = 11;
  EXPECT_TRUE(Agrees());
  direction_.received_seconds = 12;
  EXPECT_FALSE(Agrees());
}

TEST_F(MeasurementCheckTest, RefusesMoreReceivedThanSent) {
  direction_ = Direction(10, 1e9, 1e9 + 2 * 131'072);
  EXPECT_TRUE(Agrees());
  direction_.received_bytes = 1e9 + 2 * 131'072 + 1;
  EXPECT_FALSE(Agrees());
  expected_.test.parallel = 2;
  EXPECT_TRUE(Agrees());
  direction_.received_bytes = 1e9 + 4e6;
  EXPECT_FALSE(Agrees());
  expected_.test.length_bytes = 1'000'000;
  EXPECT_TRUE(Agrees());
  direction_.received_bytes = 3e9;
  EXPECT_FALSE(Agrees());
  expected_.test.omit_seconds = 1;
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, AllowsForDuplicatesOfUdp) {
  expected_.test.protocol = Protocol::kUdp;
  direction_ = Direction(10, 1e6, 2e6);
  EXPECT_TRUE(Agrees());
  direction_ = Direction(10, 1e6, 2e6 + 1);
  EXPECT_FALSE(Agrees());
}

// A reverse test whose datagrams hold only zeros.
TEST_F(MeasurementCheckTest, RefusesBytesWithoutAPacket) {
  expected_.test.protocol = Protocol::kUdp;
  is_download_ = true;
  direction_ = Direction(10, 1.2e6, 1.2e6);
  direction_.received_packets = 0;
  EXPECT_FALSE(Agrees());
  direction_.received_bytes = 0;  // total loss is a result
  EXPECT_TRUE(Agrees());
}

TEST_F(MeasurementCheckTest, ChecksBothDirections) {
  Measurement measurement;
  measurement.upload = measurement.download = direction_;
  EXPECT_FALSE(FindContradiction(measurement, expected_));
  measurement.download->received_seconds = 0;
  EXPECT_TRUE(FindContradiction(measurement, expected_));
}

}  // namespace
}  // namespace iperf3_exporter
