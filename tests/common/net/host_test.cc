#include "common/net/host.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

TEST(HostTest, DistinguishesNamesFromAddresses) {
  struct Case {
    const char* input;
    const char* text;
    HostKind kind;
    const char* address;  // empty: none
  };
  for (const Case& expected : {Case{"host_1.example", "host_1.example", HostKind::kName, ""},
                               Case{"1.2.3", "1.2.3", HostKind::kName, ""},
                               Case{"192.0.2.1", "192.0.2.1", HostKind::kV4, "192.0.2.1"},
                               Case{"2001:db8::1", "2001:db8::1", HostKind::kV6, "2001:db8::1"},
                               Case{"[2001:db8::1]", "2001:db8::1", HostKind::kV6, "2001:db8::1"},
                               Case{"fe80::1%lo", "fe80::1%lo", HostKind::kV6, "fe80::1%1"},
                               Case{"fe80::1%nosuch", "fe80::1%nosuch", HostKind::kV6, ""}}) {
    const auto host = ParseHost(expected.input);
    ASSERT_TRUE(host) << expected.input;
    EXPECT_EQ(host->text, expected.text);
    EXPECT_EQ(host->kind, expected.kind) << expected.input;
    EXPECT_EQ(host->address ? ToString(*host->address) : "", expected.address);
  }
}

TEST(HostTest, RefusesOtherTexts) {
  for (const char* text : {"", "-c", "a b", "a/b", "[192.0.2.1]", "[host]", "[]", "[::1", "::1]",
                           "1:2:3", "fe80::1%", "fe80::1%e th", "host%eth0", "192.0.2.1%eth0"}) {
    EXPECT_FALSE(ParseHost(text)) << text;
  }
  EXPECT_TRUE(ParseHost(std::string(kMaxTargetBytes, 'a')));
  EXPECT_FALSE(ParseHost(std::string(kMaxTargetBytes + 1, 'a')));
}

TEST(HostTest, SplitsHostAndPort) {
  struct Case {
    const char* text;
    const char* host;
    const char* rest;
  };
  for (const Case& expected :
       {Case{"h", "h", ""}, Case{"h:5201", "h", ":5201"}, Case{"h:", "h", ":"},
        Case{"[::1]:5201", "[::1]", ":5201"}, Case{"[::1]", "[::1]", ""}, Case{"::1", "::1", ""},
        Case{"::1]:1", "::1]", ":1"}, Case{"1:2:3", "1:2:3", ""}, Case{"", "", ""}}) {
    const auto [host, rest] = SplitHostPort(expected.text);
    EXPECT_EQ(host, expected.host) << expected.text;
    EXPECT_EQ(rest, expected.rest) << expected.text;
  }
}

}  // namespace
}  // namespace iperf3_exporter
