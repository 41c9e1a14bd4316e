#include "supervisor/probe/port_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::Optional;

TEST(PortListTest, ReadsPortsRangesAndLists) {
  EXPECT_THAT(ParsePortList("5201"), Optional(ElementsAre(5201)));
  EXPECT_THAT(ParsePortList("5201-5203"), Optional(ElementsAre(5201, 5202, 5203)));
  EXPECT_THAT(ParsePortList("5301,5201-5202,5301"), Optional(ElementsAre(5301, 5201, 5202)));
  EXPECT_THAT(ParsePortList("65535-65535,1"), Optional(ElementsAre(65535, 1)));
  EXPECT_EQ(ParsePortList("1-16")->size(), kMaxPorts);
}

TEST(PortListTest, RefusesAnythingElse) {
  for (const char* text :
       {"", "0", "65536", "-", "1-", "-1", "2-1", "1-17", "1,", ",1", "1,,2", "1, 2", " 1", "1-2-3",
        "a", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "1-99999999999999999999", "0-5"}) {
    EXPECT_FALSE(ParsePortList(text)) << text;
  }
}

TEST(PortListTest, StartsWithAnyPortAndKeepsTheOrder) {
  std::minstd_rand random(1);
  std::set<std::uint16_t> first;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::uint16_t> ports = {1, 2, 3};
    RotateToRandomPort(ports, random);
    EXPECT_EQ(ports[1], ports[0] % 3 + 1);
    EXPECT_EQ(ports[2], ports[1] % 3 + 1);
    first.insert(ports[0]);
  }
  EXPECT_EQ(first.size(), 3U);
}

}  // namespace
}  // namespace iperf3_exporter
