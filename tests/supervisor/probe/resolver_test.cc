#include "supervisor/probe/resolver.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

TEST(ResolverTest, FindsLocalhostOnceInTheFamilyAskedFor) {
  const auto v4 = ResolveBlocking("localhost", IpVersion::kV4);
  ASSERT_TRUE(v4) << v4.error().message;
  ASSERT_EQ(v4->size(), 1U);
  EXPECT_EQ(ToString(v4->front()), "127.0.0.1");
}

TEST(ResolverTest, SaysWhichNameItCouldNotFind) {
  const auto target = ResolveBoth("no-such-host.invalid", "", IpVersion::kAny);
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().message.rfind("no-such-host.invalid: ", 0), 0U);
  const auto bind = ResolveBoth("127.0.0.1", "no-such-source.invalid", IpVersion::kAny);
  ASSERT_FALSE(bind);
  EXPECT_EQ(bind.error().message.rfind("no-such-source.invalid: ", 0), 0U);
}

TEST(ResolverTest, AVersionMatchesItsFamilyOnly) {
  const IpAddress v4 = *ParseIpAddress("192.0.2.1");
  const IpAddress v6 = *ParseIpAddress("2001:db8::1");
  EXPECT_TRUE(Matches(IpVersion::kAny, v4) && Matches(IpVersion::kAny, v6));
  EXPECT_TRUE(Matches(IpVersion::kV4, v4) && !Matches(IpVersion::kV4, v6));
  EXPECT_TRUE(Matches(IpVersion::kV6, v6) && !Matches(IpVersion::kV6, v4));
}

class ResolverPathsTest : public testing::Test {
 protected:
  const IpAddress v4_ = *ParseIpAddress("192.0.2.1");
  const IpAddress v6_ = *ParseIpAddress("2001:db8::1");
  const IpAddress source_v4_ = *ParseIpAddress("198.51.100.1");
  const IpAddress source_v6_ = *ParseIpAddress("2001:db8::99");
};

TEST_F(ResolverPathsTest, WithoutASourceEveryAddressOfTheVersionIsTried) {
  const Resolved resolved{{v6_, v4_}, {}};
  EXPECT_EQ(BuildPaths(resolved, IpVersion::kAny),
            (std::vector<TargetPath>{{v6_, std::nullopt}, {v4_, std::nullopt}}));
  EXPECT_EQ(BuildPaths(resolved, IpVersion::kV4), (std::vector<TargetPath>{{v4_, std::nullopt}}));
}

TEST_F(ResolverPathsTest, EachAddressGetsTheFirstSourceOfItsFamily) {
  const Resolved resolved{{v6_, v4_}, {source_v4_, source_v6_, *ParseIpAddress("198.51.100.2")}};
  EXPECT_EQ(BuildPaths(resolved, IpVersion::kAny),
            (std::vector<TargetPath>{{v6_, source_v6_}, {v4_, source_v4_}}));
}

TEST_F(ResolverPathsTest, AnAddressWithoutASourceOfItsFamilyIsLeftOut) {
  EXPECT_EQ(BuildPaths({{v6_, v4_}, {source_v4_}}, IpVersion::kAny),
            (std::vector<TargetPath>{{v4_, source_v4_}}));
  EXPECT_TRUE(BuildPaths({{v6_}, {source_v4_}}, IpVersion::kAny).empty());
}

}  // namespace
}  // namespace iperf3_exporter
