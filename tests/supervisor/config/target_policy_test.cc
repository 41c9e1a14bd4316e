#include "supervisor/config/target_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

TargetPolicy Policy(const std::vector<std::string>& targets,
                    const std::vector<std::string>& ports = {}) {
  TargetPolicy policy;
  for (const std::string& rule : targets) EXPECT_TRUE(policy.AddTarget(rule)) << rule;
  for (const std::string& rule : ports) EXPECT_TRUE(policy.AddPort(rule)) << rule;
  return policy;
}

bool Allows(const TargetPolicy& policy, const std::string& host, const std::string& address) {
  return policy.AllowsTarget(ParseHost(host).value_or(Host{}), *ParseIpAddress(address));
}

TEST(TargetPolicyTest, AllowsAllWithoutRules) {
  const TargetPolicy policy;
  EXPECT_TRUE(Allows(policy, "anything", "203.0.113.9"));
  EXPECT_TRUE(policy.MayAllow(*ParseHost("anything")));
  EXPECT_TRUE(policy.AllowsPort(1));
}

TEST(TargetPolicyTest, ChecksNetworksOnTheAddressNotOnTheName) {
  const TargetPolicy policy =
      Policy({"10.0.0.0/8", "192.0.2.128/25", "198.51.100.7", "2001:db8::/33"});
  EXPECT_TRUE(Allows(policy, "x", "10.255.0.1"));
  EXPECT_FALSE(Allows(policy, "10.0.0.1", "11.0.0.1"));
  EXPECT_FALSE(Allows(policy, "x", "192.0.2.127"));
  EXPECT_TRUE(Allows(policy, "x", "192.0.2.128"));
  EXPECT_TRUE(Allows(policy, "x", "198.51.100.7"));
  EXPECT_FALSE(Allows(policy, "x", "198.51.100.6"));
  EXPECT_TRUE(Allows(policy, "x", "2001:db8:7fff::1"));
  EXPECT_FALSE(Allows(policy, "x", "2001:db8:8000::1"));
  EXPECT_TRUE(policy.MayAllow(*ParseHost("any.name")));
}

TEST(TargetPolicyTest, RefusesAnInvalidAddress) {
  for (const char* rule : {"10.0.0.300", "10.0.0", "1.2.3.4.5", "12", "192.0.2.0-192.0.2.9",
                           "192.0.2.0-192.0.2.9.", "*.10"}) {
    EXPECT_FALSE(TargetPolicy().AddTarget(rule)) << rule;
  }
}

TEST(TargetPolicyTest, KeepsAddressFamiliesApart) {
  EXPECT_FALSE(Allows(Policy({"0.0.0.0/0"}), "x", "::1"));
  EXPECT_FALSE(Allows(Policy({"::/0"}), "x", "127.0.0.1"));
  EXPECT_TRUE(Allows(Policy({"0.0.0.0/0"}), "x", "127.0.0.1"));
  EXPECT_TRUE(Allows(Policy({"::/0"}), "x", "::1"));
}

TEST(TargetPolicyTest, TakesAMappedAddressAsTheIpv4Address) {
  EXPECT_TRUE(Allows(Policy({"10.0.0.0/8"}), "x", "::ffff:10.1.2.3"));
  EXPECT_FALSE(Allows(Policy({"10.0.0.0/8"}), "x", "::ffff:11.1.2.3"));
  EXPECT_FALSE(Allows(Policy({"::/0"}), "x", "::ffff:10.1.2.3"));
}

TEST(TargetPolicyTest, MatchesNamesAndSuffixes) {
  const TargetPolicy policy = Policy({"Probe.Example.org", "*.lab.example."});
  EXPECT_TRUE(Allows(policy, "probe.example.ORG.", "203.0.113.9"));
  EXPECT_TRUE(Allows(policy, "a.lab.example", "203.0.113.9"));
  EXPECT_TRUE(Allows(policy, "a.b.LAB.example.", "203.0.113.9"));
  for (const std::string host : {"lab.example", "xlab.example", "a.lab.example.com",
                                 "x.probe.example.org", "example.org", ".lab.example", ""}) {
    EXPECT_FALSE(Allows(policy, host, "203.0.113.9")) << host;
    EXPECT_FALSE(policy.MayAllow(ParseHost(host).value_or(Host{}))) << host;
  }
}

TEST(TargetPolicyTest, DoesNotMatchAZoneAsANameSuffix) {
  const TargetPolicy policy = Policy({"*.corp", "lan.example"});
  for (const char* text : {"fe80::1%vlan.corp", "fe80::1%lan.example"}) {
    Host host = *ParseHost(text);
    EXPECT_FALSE(policy.MayAllow(host)) << text;
    host.address = ParseIpAddress("fe80::1");  // as if there were such an interface
    EXPECT_FALSE(policy.MayAllow(host)) << text;
    EXPECT_FALSE(policy.AllowsTarget(host, *host.address)) << text;
  }
}

TEST(TargetPolicyTest, TakesARuleOfMappedAddressesAsTheIpv4Rule) {
  const TargetPolicy policy = Policy({"::ffff:10.0.0.0/104", "::ffff:192.0.2.1"});
  EXPECT_TRUE(Allows(policy, "x", "10.255.255.255"));
  EXPECT_TRUE(Allows(policy, "x", "::ffff:10.1.2.3"));
  EXPECT_TRUE(Allows(policy, "x", "192.0.2.1"));
  EXPECT_FALSE(Allows(policy, "x", "11.0.0.0"));
  EXPECT_FALSE(Allows(policy, "x", "192.0.2.2"));
  EXPECT_TRUE(Allows(Policy({"::ffff:0:0/96"}), "x", "203.0.113.9"));
  EXPECT_FALSE(TargetPolicy().AddTarget("::ffff:0:0/95"));
}

TEST(TargetPolicyTest, DecidesOnAnAddressWithoutALookup) {
  const TargetPolicy policy = Policy({"10.0.0.0/8"});
  EXPECT_TRUE(policy.MayAllow(*ParseHost("10.1.2.3")));
  EXPECT_FALSE(policy.MayAllow(*ParseHost("192.0.2.1")));
  EXPECT_TRUE(policy.MayAllow(*ParseHost("some.name")));
}

TargetPolicy Denying(const std::vector<std::string>& denied,
                     const std::vector<std::string>& allowed = {}) {
  TargetPolicy policy = Policy(allowed);
  for (const std::string& rule : denied) EXPECT_TRUE(policy.AddDeniedTarget(rule)) << rule;
  return policy;
}

TEST(TargetPolicyTest, DeniesWhateverElseIsAllowed) {
  for (const std::string allowed : {"10.0.0.0/8", "*.example", "10.1.2.3"}) {
    const TargetPolicy policy = Denying({"10.1.0.0/16", "2001:db8::/32"}, {allowed});
    EXPECT_FALSE(Allows(policy, "a.example", "10.1.2.3")) << allowed;
    EXPECT_FALSE(policy.MayAllow(*ParseHost("10.1.2.3"))) << allowed;
    EXPECT_EQ(Allows(policy, "a.example", "10.2.0.1"), allowed != "10.1.2.3") << allowed;
  }
  const TargetPolicy policy = Denying({"10.1.0.0/16", "2001:db8::/32"});
  EXPECT_TRUE(Allows(policy, "x", "10.2.0.1"));
  EXPECT_TRUE(Allows(policy, "x", "2001:db9::1"));
  EXPECT_FALSE(Allows(policy, "x", "2001:db8::1"));
  EXPECT_TRUE(policy.MayAllow(*ParseHost("any.name")));
}

TEST(TargetPolicyTest, DeniesAnAddressInEachOfItsForms) {
  const TargetPolicy v4 = Denying({"10.0.0.0/8", "::ffff:192.0.2.0/120"});
  for (const char* address : {"10.1.2.3", "::ffff:10.1.2.3", "192.0.2.9", "::ffff:192.0.2.9"}) {
    EXPECT_FALSE(Allows(v4, address, address)) << address;
    EXPECT_FALSE(v4.MayAllow(*ParseHost(address))) << address;
  }
  const TargetPolicy link_local = Denying({"fe80::/10"});
  for (const char* text : {"fe80::1", "fe80::1%lo", "fe80::1%1", "fe80::1%no.such"}) {
    EXPECT_FALSE(link_local.MayAllow(*ParseHost(text))) << text;
  }
}

TEST(TargetPolicyTest, DeniesAnAddressBehindATranslatorOrATunnel) {
  const TargetPolicy policy = Denying({"10.0.0.0/8"}, {"::/0"});
  for (const std::string address : {"64:ff9b::10.1.2.3", "2002:a01:203::1", "::10.1.2.3"}) {
    EXPECT_FALSE(Allows(policy, address, address)) << address;
    EXPECT_FALSE(policy.MayAllow(*ParseHost(address))) << address;
    EXPECT_EQ(policy.ForbiddenText(*ParseHost(address), {}),
              "the target is not allowed: --probe.deny-target denies " + address);
  }
  for (const std::string address : {"64:ff9b::11.1.2.3", "2002:b01:203::1", "::11.1.2.3", "::1"}) {
    EXPECT_TRUE(Allows(policy, address, address)) << address;
  }
  EXPECT_TRUE(Allows(Denying({"0.0.0.0/8"}), "::1", "::1"));
  EXPECT_FALSE(Allows(Policy({"10.0.0.0/8"}), "x", "64:ff9b::10.1.2.3"));
}

TEST(TargetPolicyTest, DeniesTheUnspecifiedAddressWithAnyRule) {
  for (const char* address : {"0.0.0.0", "::", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(Allows(Denying({"127.0.0.0/8"}), address, address)) << address;
    EXPECT_TRUE(Allows(TargetPolicy(), address, address)) << address;
  }
}

TEST(TargetPolicyTest, SaysThatADeniedTargetIsDenied) {
  const TargetPolicy policy = Denying({"10.0.0.0/8"}, {"192.0.2.0/24"});
  const std::string plain = "the target is not allowed";
  const auto address = [](const char* text) { return *ParseIpAddress(text); };
  EXPECT_EQ(policy.ForbiddenText(*ParseHost("10.1.2.3"), {}),
            plain + ": --probe.deny-target denies 10.1.2.3");
  EXPECT_EQ(policy.ForbiddenText(*ParseHost("a.example"), {address("::1"), address("10.1.2.3")}),
            plain + ": --probe.deny-target denies the address of a.example");
}

TEST(TargetPolicyTest, SaysThatATargetIsNotInTheAllowList) {
  const TargetPolicy policy = Denying({"10.0.0.0/8"}, {"192.0.2.0/24"});
  const std::string plain = "the target is not allowed: ";
  EXPECT_EQ(policy.ForbiddenText(*ParseHost("203.0.113.1"), {}),
            plain + "203.0.113.1 is not in --probe.allow-target");
  EXPECT_EQ(policy.ForbiddenText(*ParseHost("a.example"), {}),
            plain + "a.example is not in --probe.allow-target");
  EXPECT_EQ(policy.ForbiddenText(*ParseHost("a.example"), {*ParseIpAddress("::1")}),
            plain + "the address of a.example is not in --probe.allow-target");
}

TEST(TargetPolicyTest, SaysWhyTheUnspecifiedAddressIsDenied) {
  const std::string plain = "the target is not allowed: ";
  const TargetPolicy policy = Denying({"10.0.0.0/8"});
  for (const std::string text : {"0.0.0.0", "::", "::ffff:0.0.0.0"}) {
    EXPECT_EQ(policy.ForbiddenText(*ParseHost(text), {}),
              plain + text + " means this host and is denied whenever --probe.deny-target is set");
  }
  // A name's address is not revealed.
  EXPECT_EQ(policy.ForbiddenText(*ParseHost("a.example"), {*ParseIpAddress("0.0.0.0")}),
            plain + "--probe.deny-target denies the address of a.example");
  EXPECT_EQ(Denying({"0.0.0.0/8"}).ForbiddenText(*ParseHost("0.0.0.0"), {}),
            plain + "--probe.deny-target denies 0.0.0.0");
}

TEST(TargetPolicyTest, TheLogNamesTheAddressesAndTheirRules) {
  const TargetPolicy policy = Denying({"10.0.0.0/8", "2001:db8::/32"}, {"192.0.2.0/24"});
  const auto address = [](const char* text) { return *ParseIpAddress(text); };
  const Host name = *ParseHost("a.example");
  EXPECT_EQ(policy.ForbiddenDetail(*ParseHost("10.1.2.3"), {}),
            "10.1.2.3 is denied by --probe.deny-target=10.0.0.0/8");
  EXPECT_EQ(policy.ForbiddenDetail(*ParseHost("64:ff9b::10.1.2.3"), {}),
            "64:ff9b::a01:203 is denied by --probe.deny-target=10.0.0.0/8");
  EXPECT_EQ(policy.ForbiddenDetail(name, {address("2001:db8::1"), address("::1")}),
            "2001:db8::1 is denied by --probe.deny-target=2001:db8::/32, "
            "::1 is not in --probe.allow-target");
  EXPECT_EQ(policy.ForbiddenDetail(name, {address("0.0.0.0")}),
            "0.0.0.0 means this host and is denied with any --probe.deny-target");
  EXPECT_EQ(policy.ForbiddenDetail(name, {}), "");
}

TEST(TargetPolicyTest, SuggestsTheNetworkOfAnAddress) {
  const auto expected = [](const std::string& rule) {
    return TargetPolicy().AddTarget(rule).error().message;
  };
  const std::string start = "an address without bits set after its prefix, such as ";
  EXPECT_EQ(expected("10.0.0.1/8"), start + "10.0.0.0/8");
  EXPECT_EQ(expected("2001:db8::1/64"), start + "2001:db8::/64");
}

TEST(TargetPolicyTest, DeniesOnlyAddresses) {
  for (const std::string rule :
       {"", "10.0.0.1/8", "10.0.0.0/33", "host", "*.example", "fe80::1%lo", "10.0.0.300"}) {
    EXPECT_FALSE(TargetPolicy().AddDeniedTarget(rule)) << rule;
  }
}

TEST(TargetPolicyTest, MatchesPorts) {
  const TargetPolicy policy = Policy({}, {"5201", "5300-5310"});
  for (const std::uint16_t port : std::vector<std::uint16_t>{5201, 5300, 5305, 5310})
    EXPECT_TRUE(policy.AllowsPort(port)) << port;
  for (const std::uint16_t port : std::vector<std::uint16_t>{1, 5200, 5202, 5299, 5311})
    EXPECT_FALSE(policy.AllowsPort(port)) << port;
  EXPECT_TRUE(Allows(policy, "x", "203.0.113.9"));
}

TEST(TargetPolicyTest, RefusesInvalidRules) {
  for (const std::string& rule : std::vector<std::string>{
           "", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::1/129", "2001:db8::1/64",
           "*", "*.", "*x.example", "a b", "a/24", "-a", ".a", "a..b", "a..", "*..a", "*.a..b",
           "a." + std::string(64, 'b')}) {
    EXPECT_FALSE(TargetPolicy().AddTarget(rule)) << rule;
  }
  for (const std::string rule : {"", "0", "65536", "2-1", "x", "1-", "-1", "1-2-3", " 1"}) {
    EXPECT_FALSE(TargetPolicy().AddPort(rule)) << rule;
  }
}

}  // namespace
}  // namespace iperf3_exporter
