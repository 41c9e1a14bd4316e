#include "worker/iperf3/iperf3_inspect.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

TEST(Iperf3InspectTest, ReadsTheVersion) {
  EXPECT_EQ(ParseIperf3Version("iperf 3.12 (cJSON 1.7.15)\nLinux vm\n").value(), "3.12");
  EXPECT_EQ(ParseIperf3Version("iperf 3.17.1+ (cJSON 1.7.15)").value(), "3.17.1+");
  EXPECT_EQ(ParseIperf3Version("iperf 3.10.1-alpha\n").value(), "3.10.1-alpha");
}

TEST(Iperf3InspectTest, RejectsOtherPrograms) {
  EXPECT_FALSE(ParseIperf3Version(""));
  EXPECT_FALSE(ParseIperf3Version("iperf "));
  EXPECT_FALSE(ParseIperf3Version("iperf version 2.1.8 (12 August 2022) pthreads\n"));
  EXPECT_FALSE(ParseIperf3Version("iperf \"}{"));
  EXPECT_FALSE(ParseIperf3Version("busybox"));
  EXPECT_FALSE(ParseIperf3Version("iperf 3" + std::string(100, '1')));
}

}  // namespace
}  // namespace iperf3_exporter
