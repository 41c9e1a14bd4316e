#include "common/iperf3/defects.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

TEST(DefectsTest, ParsesVersions) {
  EXPECT_EQ(ParseIperf3VersionNumber("3.9"), (Iperf3Version{3, 9, 0}));
  EXPECT_EQ(ParseIperf3VersionNumber("3.17.1+"), (Iperf3Version{3, 17, 1}));
  EXPECT_EQ(ParseIperf3VersionNumber("3.10.1-alpha"), (Iperf3Version{3, 10, 1}));
  EXPECT_EQ(ParseIperf3VersionNumber("3"), (Iperf3Version{3, 0, 0}));
  EXPECT_EQ(ParseIperf3VersionNumber("3.1b3"), (Iperf3Version{3, 1, 0}));
  for (const char* text : {"", "x", ".9", "3.", "3.x", "-3.1", "99999999999.1"}) {
    EXPECT_FALSE(ParseIperf3VersionNumber(text)) << text;
  }
  EXPECT_LT((Iperf3Version{3, 9, 0}), (Iperf3Version{3, 10, 0}));
}

struct Case {
  std::string_view version;
  TestOptions test;
  std::string_view parameter;  // empty: no defect
};

TEST(DefectsTest, FindsDefectsOfAVersion) {
  const TestOptions burst{.bitrate_bits_per_second = 1, .burst_packets = 2};
  const TestOptions udp_omit{.protocol = Protocol::kUdp, .omit_seconds = 1};
  const TestOptions download{.direction = Direction::kDownload, .bytes = 1};
  const TestOptions skip{.skip_rx_copy = true};
  for (const Case& c : {
           Case{"3.7", burst, ""},
           Case{"3.9", burst, "bitrate"},
           Case{"3.10", burst, ""},
           Case{"3.17.1", burst, ""},
           Case{"3.18", burst, "bitrate"},
           Case{"3.19", burst, ""},
           Case{"3.9", {}, ""},
           Case{"3.10.1", udp_omit, "omit"},
           Case{"3.1", udp_omit, "omit"},
           Case{"3.11", udp_omit, ""},
           Case{"3.9", {.omit_seconds = 1}, ""},
           Case{"3.9", download, "bytes"},
           Case{"3.10", download, ""},
           Case{"3.9", {.bytes = 1}, ""},
           Case{"3.19", skip, "skip_rx_copy"},
           Case{"3.19.1", skip, ""},
           Case{"not a version", burst, ""},
       }) {
    const Iperf3Defect* defect = FindDefect(c.version, c.test);
    EXPECT_EQ(defect == nullptr ? "" : defect->parameter, c.parameter) << c.version;
  }
}

}  // namespace
}  // namespace iperf3_exporter
