#include "supervisor/probe/route.h"

#include <gtest/gtest.h>
#include <net/if.h>

namespace iperf3_exporter {
namespace {

TargetPath PathTo(const char* address, const char* source = nullptr) {
  TargetPath path{.address = ParseIpAddress(address).value(), .source = std::nullopt};
  if (source != nullptr) path.source = ParseIpAddress(source).value();
  return path;
}

std::string Loopback(const char* source) {
  return std::string(source) + " dev " + std::to_string(::if_nametoindex("lo"));
}

TEST(RouteTest, IsTheSameHoweverItIsAskedFor) {
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1"), 5201, ""), Loopback("127.0.0.1"));
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1", "127.0.0.1"), 5201, ""), Loopback("127.0.0.1"));
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1"), 5201, "lo"), Loopback("127.0.0.1"));
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1", "127.0.0.1"), 5201, "lo"), Loopback("127.0.0.1"));
}

TEST(RouteTest, DiffersWithTheSource) {
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1", "127.0.0.2"), 5201, ""), Loopback("127.0.0.2"));
}

TEST(RouteTest, KnowsBothFamilies) {
  const std::string route = FindRoute(PathTo("::1"), 5201, "");
  EXPECT_TRUE(route == Loopback("::1") || route == "unknown") << route;
}

TEST(RouteTest, IsUnknownWhereThereIsNone) {
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1"), 5201, "no-such-device"), "unknown");
  EXPECT_EQ(FindRoute(PathTo("127.0.0.1", "192.0.2.77"), 5201, ""), "unknown");
}

}  // namespace
}  // namespace iperf3_exporter
