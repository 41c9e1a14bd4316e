#include "supervisor/probe/resolver.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

Result<Resolved> Resolve(const char* target, const char* bind, const TargetPolicy& policy = {},
                         IpVersion version = IpVersion::kAny) {
  return ResolveHosts(*ParseHost(target), ParseHost(bind), version, policy);
}

TEST(ResolverTest, FindsLocalhostOnceInTheRequestedFamily) {
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

TEST(ResolverTest, NamesTheHostThatItCannotFind) {
  for (const char* host : {"no-such-host.invalid", "fe80::1%nosuch"}) {
    const auto target = Resolve(host, "");
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().message.rfind(std::string(host) + ": ", 0), 0U);
    const auto bind = Resolve("127.0.0.1", host);
    ASSERT_FALSE(bind);
    EXPECT_EQ(bind.error().message.rfind(std::string(host) + ": ", 0), 0U);
  }
}

TEST(ResolverTest, ResolvesNoSourceForAForbiddenTarget) {
  TargetPolicy policy;
  ASSERT_TRUE(policy.AddTarget("203.0.113.0/24"));
  for (const char* target : {"127.0.0.1", "localhost"}) {
    const auto resolved = Resolve(target, "no-such-source.invalid", policy);
    ASSERT_TRUE(resolved) << resolved.error().message;
    EXPECT_TRUE(resolved->target.empty());
  }
}

TEST(ResolverTest, SaysWhyNoAddressIsAllowed) {
  TargetPolicy policy;
  ASSERT_TRUE(policy.AddTarget("localhost"));
  ASSERT_TRUE(policy.AddDeniedTarget("127.0.0.0/8"));
  ASSERT_TRUE(policy.AddDeniedTarget("::1"));
  const auto resolved = Resolve("localhost", "", policy);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_TRUE(resolved->target.empty());
  EXPECT_EQ(resolved->forbidden,
            "the target is not allowed: --probe.deny-target denies the address of localhost");
}

TEST(ResolverTest, KeepsOnlyAllowedAddresses) {
  TargetPolicy policy;
  ASSERT_TRUE(policy.AddTarget("127.0.0.0/8"));
  const auto resolved = Resolve("localhost", "127.0.0.9", policy, IpVersion::kV4);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->target, std::vector{*ParseIpAddress("127.0.0.1")});
  EXPECT_EQ(resolved->bind, std::vector{*ParseIpAddress("127.0.0.9")});
}

// As text; empty if there is no route.
std::string SourceOf(const char* address, const char* source, const std::string& device) {
  AddressPair pair{.destination = *ParseIpAddress(address), .source = std::nullopt};
  if (source != nullptr) pair.source = ParseIpAddress(source);
  const auto found = FindSource(pair, 5201, device);
  return found ? ToString(*found) : "";
}

TEST(ResolverTest, FindsTheSourceHoweverItIsRequested) {
  for (const char* source : {static_cast<const char*>(nullptr), "127.0.0.1"}) {
    for (const char* device : {"", "lo"}) {
      EXPECT_EQ(SourceOf("127.0.0.1", source, device), "127.0.0.1");
    }
  }
  EXPECT_EQ(SourceOf("127.0.0.1", "127.0.0.2", ""), "127.0.0.2");
  const std::string v6 = SourceOf("::1", nullptr, "");
  EXPECT_TRUE(v6 == "::1" || v6.empty()) << v6;
}

TEST(ResolverTest, FindsNoSourceWithoutARoute) {
  EXPECT_EQ(SourceOf("127.0.0.1", nullptr, "no-such-device"), "");
  EXPECT_EQ(SourceOf("127.0.0.1", "192.0.2.77", ""), "");
}

class ResolverPathsTest : public testing::Test {
 protected:
  const IpAddress v4_ = *ParseIpAddress("192.0.2.1");
  const IpAddress v6_ = *ParseIpAddress("2001:db8::1");
  const IpAddress source_v4_ = *ParseIpAddress("198.51.100.1");
  const IpAddress source_v6_ = *ParseIpAddress("2001:db8::99");
};

TEST_F(ResolverPathsTest, WithoutASourceEveryAddressIsTried) {
  EXPECT_EQ(BuildAddressPairs({{v6_, v4_}, {}}),
            (std::vector<AddressPair>{{v6_, std::nullopt}, {v4_, std::nullopt}}));
}

TEST_F(ResolverPathsTest, EachAddressGetsTheFirstSourceOfItsFamily) {
  const Resolved resolved{{v6_, v4_}, {source_v4_, source_v6_, *ParseIpAddress("198.51.100.2")}};
  EXPECT_EQ(BuildAddressPairs(resolved),
            (std::vector<AddressPair>{{v6_, source_v6_}, {v4_, source_v4_}}));
}

TEST_F(ResolverPathsTest, AnAddressWithoutASourceOfItsFamilyIsLeftOut) {
  EXPECT_EQ(BuildAddressPairs({{v6_, v4_}, {source_v4_}}),
            (std::vector<AddressPair>{{v4_, source_v4_}}));
  EXPECT_TRUE(BuildAddressPairs({{v6_}, {source_v4_}}).empty());
}

}  // namespace
}  // namespace iperf3_exporter
