#include "common/net/embedded_ipv4.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace iperf3_exporter {
namespace {

using Texts = std::vector<std::string>;

Texts Embedded(const std::string& text) {
  Texts texts;
  for (const IpAddress& v4 : EmbeddedIpv4(*ParseIpAddress(text))) texts.push_back(ToString(v4));
  return texts;
}

// 192.0.2.33 is c000:221; inverted it is 3fff:fdde.
TEST(EmbeddedIpv4Test, FindsTheAddressOfEachForm) {
  const struct {
    const char* form;
    const char* text;
    Texts expected;
  } kCases[] = {
      {"IPv4-compatible", "::192.0.2.33", {"192.0.2.33"}},
      {"IPv4-translated", "::ffff:0:192.0.2.33", {"192.0.2.33"}},
      {"NAT64", "64:ff9b::192.0.2.33", {"192.0.2.33"}},
      // The examples of RFC 6052, section 2.4, with a local prefix.
      {"local NAT64, 48 bits", "64:ff9b:1:c000:2:2100::", {"192.0.2.33", "2.33.0.0"}},
      {"local NAT64, 56 bits", "64:ff9b:1:c0:0:221::", {"192.0.2.33"}},
      {"local NAT64, 64 bits", "64:ff9b:1::c0:2:2100:0", {"192.0.2.33", "33.0.0.0"}},
      {"local NAT64, 96 bits", "64:ff9b:1::192.0.2.33", {"192.0.2.33"}},
      {"6to4", "2002:c000:221::1", {"192.0.2.33"}},
      {"Teredo", "2001:0:cb00:7101:0:fbff:3fff:fdde", {"203.0.113.1", "192.0.2.33"}},
      {"ISATAP", "2001:db8::5efe:192.0.2.33", {"192.0.2.33"}},
      {"ISATAP, globally unique", "fe80::200:5efe:192.0.2.33", {"192.0.2.33"}},
  };
  for (const auto& [form, text, expected] : kCases) EXPECT_EQ(Embedded(text), expected) << form;
}

TEST(EmbeddedIpv4Test, FindsNoneInAnyOtherAddress) {
  for (const char* text :
       {"192.0.2.33", "::", "::1", "2001:db8::192.0.2.33", "2001:1::192.0.2.33", "2003:c000:221::1",
        "64:ff9b::1:192.0.2.33", "64:ff9b:2::192.0.2.33",
        "64:ff9b:1::", "2001:db8::5eff:192.0.2.33", "2001:db8::100:5efe:192.0.2.33"}) {
    EXPECT_EQ(Embedded(text), Texts()) << text;
  }
}

}  // namespace
}  // namespace iperf3_exporter
