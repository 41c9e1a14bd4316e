#include "supervisor/probe/resolver.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

Result<Resolved> Resolve(const char* target, const char* bind, const TargetPolicy& policy = {},
                         IpVersion version = IpVersion::kAny) {
  return ResolveHosts(*ParseHost(target), ParseHost(bind), version, policy);
}

TEST(ResolverTest, FindsLocalhostOnceInTheFamilyAskedFor) {
  const auto v4 = ResolveHost(*ParseHost("localhost"), IpVersion::kV4);
  ASSERT_TRUE(v4) << v4.error().message;
  ASSERT_EQ(v4->size(), 1U);
  EXPECT_EQ(ToString(v4->front()), "127.0.0.1");
}

TEST(ResolverTest, LooksUpOnlyNames) {
  EXPECT_FALSE(NeedsLookup(*ParseHost("127.0.0.1"), std::nullopt));
  EXPECT_FALSE(NeedsLookup(*ParseHost("::1"), ParseHost("127.0.0.1")));
  EXPECT_FALSE(NeedsLookup(*ParseHost("fe80::1%nosuch"), std::nullopt));
  EXPECT_TRUE(NeedsLookup(*ParseHost("localhost"), std::nullopt));
  EXPECT_TRUE(NeedsLookup(*ParseHost("127.0.0.1"), ParseHost("localhost")));
}

TEST(ResolverTest, SaysWhichHostItCouldNotFind) {
  for (const char* host : {"no-such-host.invalid", "fe80::1%nosuch"}) {
    const auto target = Resolve(host, "");
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().message.rfind(std::string(host) + ": ", 0), 0U);
    const auto bind = Resolve("127.0.0.1", host);
    ASSERT_FALSE(bind);
    EXPECT_EQ(bind.error().message.rfind(std::string(host) + ": ", 0), 0U);
  }
}

TEST(ResolverTest, LooksNoSourceUpForATargetThatIsRefused) {
  TargetPolicy policy;
  ASSERT_TRUE(policy.AddTarget("203.0.113.0/24"));
  for (const char* target : {"127.0.0.1", "localhost"}) {
    const auto resolved = Resolve(target, "no-such-source.invalid", policy);
    ASSERT_TRUE(resolved) << resolved.error().message;
    EXPECT_TRUE(resolved->target.empty());
  }
}

TEST(ResolverTest, KeepsTheAddressesThatAreAllowed) {
  TargetPolicy policy;
  ASSERT_TRUE(policy.AddTarget("127.0.0.0/8"));
  const auto resolved = Resolve("localhost", "127.0.0.9", policy, IpVersion::kV4);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->target, std::vector{*ParseIpAddress("127.0.0.1")});
  EXPECT_EQ(resolved->bind, std::vector{*ParseIpAddress("127.0.0.9")});
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
