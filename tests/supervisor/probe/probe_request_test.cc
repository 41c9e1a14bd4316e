#include "supervisor/probe/probe_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr Iperf3Capabilities kAll = {.options = ~0ULL, .authentication = true};

Modules ModulesWith(const ProbeLimits& limits) {
  Options options;
  options.probe_limits = limits;
  return ModulesOfFlags(options);
}

ParsedRequest ParseFor(const std::string& version, const Iperf3Capabilities& capabilities,
                       std::string_view query, const ProbeLimits& limits = {}) {
  return ParseProbeRequest(query, ModulesWith(limits),
                           {.version = version, .capabilities = capabilities, .program = {}});
}

ParsedRequest Parse(std::string_view query, const ProbeLimits& limits = {}) {
  return ParseFor("3.12", kAll, query, limits);
}

// The message of the 400; empty when the request was accepted.
std::string RefusalText(std::string_view query, const ProbeLimits& limits = {}) {
  const auto request = Parse(query, limits);
  return request ? std::string() : request.error().text;
}

// "target=h&" and `query` accepted, as seen by `check`.
void Accepts(const std::string& query, const std::function<bool(const ProbeRequest&)>& check,
             const ProbeLimits& limits = {}) {
  const auto request = Parse("target=h&" + query, limits);
  ASSERT_TRUE(request) << query << ": " << request.error().text;
  EXPECT_TRUE(check(*request)) << query;
}

// "target=h&" and `query` refused with a message that begins with `words`.
void Refuses(const std::string& query, const std::string& words, const ProbeLimits& limits = {}) {
  EXPECT_THAT(RefusalText("target=h&" + query, limits), StartsWith(words)) << query;
}

TEST(ProbeRequestTest, HasTheDocumentedDefaults) {
  const auto request = Parse("target=server.example");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->target, "server.example");
  EXPECT_EQ(request->host, *ParseHost("server.example"));
  EXPECT_THAT(request->ports, ElementsAre(5201));
  EXPECT_EQ(request->test, TestOptions{});
  EXPECT_EQ(request->test.period_seconds, 5u);
  EXPECT_FALSE(request->bind);
  EXPECT_EQ(request->max_age, nanoseconds(0));
  EXPECT_EQ(request->ip_version, IpVersion::kAny);
  EXPECT_TRUE(request->ignored_parameters.empty());
}

TEST(ProbeRequestTest, EmptyMeansDefault) {
  const auto request = Parse(
      "target=h&port=&reverse_mode=&udp_mode=&bidirectional=&bitrate=&period=&bind_address=&bind=&"
      "bind_device=&parallel=&omit=&window=&mss=&length=&congestion=&dscp=&ip_version=&cport=&"
      "no_delay=&zerocopy=&max_age=");
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_THAT(request->ports, ElementsAre(5201));
  EXPECT_EQ(request->test, TestOptions{});
  EXPECT_TRUE(request->ignored_parameters.empty());
}

TEST(ProbeRequestTest, TargetForms) {
  struct {
    std::string asked, host;
  } const cases[] = {
      {"h", "h"},
      {"a-b_c.example.", "a-b_c.example."},
      {"192.0.2.1", "192.0.2.1"},
      {"2001:db8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"fe80::1%25eth0", "fe80::1%eth0"},
      {"[fe80::1%25eth0.10]", "fe80::1%eth0.10"},
      {std::string(253, 'a'), std::string(253, 'a')},
  };
  for (const auto& c : cases) {
    const auto request = Parse("target=" + c.asked);
    ASSERT_TRUE(request) << c.asked << ": " << request.error().text;
    EXPECT_EQ(request->host.text, c.host);
  }
  EXPECT_EQ(Parse("target=[::1]")->target, "[::1]");
}

TEST(ProbeRequestTest, TargetRefusals) {
  for (const std::string query : {"", "target=", "target", "port=1", "Target=h"}) {
    EXPECT_THAT(RefusalText(query), StartsWith("'target' parameter must be specified")) << query;
  }
  for (const std::string value :
       {"-h",         "a b",           "a/b",      "a%22b",  "a'b",
        "a;b",        "a%5Cb",         "h:",       "[h]",    "[1.2.3.4]",
        "[]",         "[::1",          "::1]",     "::g",    "1::2::3",
        "fe80::1%25", "fe80::1%25a/b", "h%25eth0", "[::1]:", "gr%C3%B6sse",
        "%24(id)",    "a%26b",         "--help",   "*",      "h:0",
        "h:65536",    "h:x",           "[h]:80",   ":80",    "h:80:80",
        "[::1]80",    "h:-1",          "h:+1"}) {
    EXPECT_THAT(RefusalText("target=" + value),
                StartsWith("'target' parameter must be a host name, an IPv4 address or an IPv6"))
        << value;
  }
  for (const std::string value : {"::1%25lo", "2001:db8::1%251", "ff02::1%25lo"}) {
    EXPECT_THAT(RefusalText("target=" + value),
                StartsWith("'target' parameter must be a link-local address to have a zone"))
        << value;
  }
  EXPECT_THAT(RefusalText("target=" + std::string(254, 'a')),
              HasSubstr("got \"" + std::string(100, 'a') + "…\""));
}

TEST(ProbeRequestTest, Port) {
  Accepts("port=1", [](const auto& r) { return r.ports.front() == 1; });
  Accepts("port=65535", [](const auto& r) { return r.ports.front() == 65535; });
  Accepts("port=0", [](const auto& r) { return r.ports.front() == 5201; });
  Accepts("port=05202", [](const auto& r) { return r.ports.front() == 5202; });
  for (const std::string value : {"abc", "-1", "65536", "5201x", "%2B5201", "5201.0", "0x1451",
                                  "1e3", "99999999999999999999", "+5201", "00"}) {
    Refuses("port=" + value, "'port' parameter must be an integer");
  }
  EXPECT_EQ(
      RefusalText("target=h&port=70000"),
      "'port' parameter must be an integer from 1 to 65535, or a range or list of up to 16 such "
      "as 5201-5208 or 5201,5301, got \"70000\"");
}

TEST(ProbeRequestTest, TheTargetMayContainThePort) {
  struct {
    std::string asked, target, host;
  } const cases[] = {{"h:5300", "h", "h"},
                     {"192.0.2.1:5300", "192.0.2.1", "192.0.2.1"},
                     {"[2001:db8::1]:5300", "[2001:db8::1]", "2001:db8::1"}};
  for (const auto& c : cases) {
    for (const std::string rest : {"", "&port=", "&port=0"}) {
      const auto request = Parse("target=" + c.asked + rest);
      ASSERT_TRUE(request) << c.asked << ": " << request.error().text;
      EXPECT_EQ(request->target, c.target);
      EXPECT_EQ(request->host.text, c.host);
      EXPECT_THAT(request->ports, ElementsAre(5300));
    }
    EXPECT_THAT(
        RefusalText("target=" + c.asked + "&port=5300"),
        HasSubstr(
            "with :port only if 'port' is not given and the module lets a URL choose the port"));
  }
  // The longest name with a port.
  EXPECT_TRUE(Parse("target=" + std::string(253, 'a') + ":5201"));
}

TEST(ProbeRequestTest, AcceptsTheBooleansOfGo) {
  struct {
    std::string name;
    std::function<bool(const ProbeRequest&)> set;
  } const flags[] = {
      {"reverse_mode", [](const auto& r) { return r.test.direction == Direction::kDownload; }},
      {"bidirectional",
       [](const auto& r) { return r.test.direction == Direction::kBidirectional; }},
      {"udp_mode", [](const auto& r) { return r.test.protocol == Protocol::kUdp; }},
      {"no_delay", [](const auto& r) { return r.test.no_delay; }},
      {"zerocopy", [](const auto& r) { return r.test.zerocopy; }},
      {"mptcp", [](const auto& r) { return r.test.mptcp; }},
      {"skip_rx_copy", [](const auto& r) { return r.test.skip_rx_copy; }},
  };
  for (const auto& flag : flags) {
    for (const std::string value : {"1", "t", "T", "TRUE", "true", "True"}) {
      Accepts(flag.name + '=' + value, flag.set);
    }
    for (const std::string value : {"0", "f", "F", "FALSE", "false", "False", ""}) {
      Accepts(flag.name + '=' + value, [&](const auto& r) { return !flag.set(r); });
    }
    for (const std::string value : {"yes", "on", "tRUE", "2", "-1", "truex", "+true"}) {
      Refuses(flag.name + '=' + value,
              '\'' + flag.name + "' parameter must be true or false (boolean)");
    }
  }
}

TEST(ProbeRequestTest, RefusesReverseWithBidirectional) {
  Refuses("reverse_mode=true&bidirectional=1",
          "'bidirectional' parameter must not be true together with 'reverse_mode'");
  Accepts("reverse_mode=false&bidirectional=1",
          [](const auto& r) { return r.test.direction == Direction::kBidirectional; });
}

TEST(ProbeRequestTest, Bitrate) {
  struct {
    std::string text;
    std::uint64_t bits;
    std::optional<std::uint32_t> burst;
  } const cases[] = {
      {"0", 0, {}},
      {"1000000", 1'000'000, {}},
      {"100M", 100'000'000, {}},
      {"100m", 100'000'000, {}},
      {"1k", 1'000, {}},
      {"1K", 1'000, {}},
      {"2.5G", 2'500'000'000, {}},
      {"0.1M", 100'000, {}},
      {"1.001K", 1'001, {}},
      {".5k", 500, {}},
      {"1T", 1'000'000'000'000, {}},
      {"1t", 1'000'000'000'000, {}},
      {"10M/5", 10'000'000, 5},
      {"0/1000", 0, 1000},
  };
  for (const auto& c : cases) {
    Accepts("bitrate=" + c.text, [&](const ProbeRequest& r) {
      return r.test.bitrate_bits_per_second == c.bits && r.test.burst_packets == c.burst;
    });
  }
  for (const std::string value :
       {"x",     "M",     "-1",  "1MM", "1P",   "1Mbit",  "1e6",
        "1.2.3", ".",     "1/",  "/5",  "1/0",  "1/1001", "1/x",
        "1/2/3", "1001T", "inf", "nan", "%2B5", "1 M",    "99999999999999999999999999",
        "0x10"}) {
    Refuses("bitrate=" + value, "bitrate must provided as #[KMGT][/#]");
  }
}

TEST(ProbeRequestTest, ARefusalBecauseOfALimitNamesItsFlag) {
  const ProbeLimits limits{.max_period = seconds(90), .max_parallel = 8};
  const auto text = [&limits](const std::string& query) {
    return RefusalText("target=h&" + query, limits);
  };
  const std::string period =
      "'period' parameter must be a duration such as 10s or 1m30s, from 0 to 1m30s, or whole "
      "seconds";
  EXPECT_EQ(text("period=2m"), period + " (--probe.max-period=1m30s), got \"2m\"");
  EXPECT_EQ(text("period=x"), period + ", got \"x\"");
  EXPECT_EQ(text("period=25h"), period + ", got \"25h\"");
  const std::string parallel = "'parallel' parameter must be an integer from 1 to 8";
  EXPECT_EQ(text("parallel=9"), parallel + " (--probe.max-parallel=8), got \"9\"");
  EXPECT_EQ(text("parallel=129"), parallel + ", got \"129\"");
}

TEST(ProbeRequestTest, TheBitrateLimitCountsAllStreams) {
  ProbeLimits limits;
  limits.max_bitrate_bits_per_second = 100'000'000;
  Accepts(
      "bitrate=100M", [](const auto& r) { return r.test.bitrate_bits_per_second == 100'000'000u; },
      limits);
  Accepts(
      "bitrate=25M&parallel=4",
      [](const auto& r) { return r.test.bitrate_bits_per_second == 25'000'000u; }, limits);
  const auto refuses = [&limits](const std::string& query, const std::string& text) {
    EXPECT_EQ(RefusalText("target=h&" + query, limits), "'bitrate' parameter must be " + text);
  };
  refuses("bitrate=101M", "at most 100M (--probe.max-bitrate=100M), got \"101M\"");
  refuses("bitrate=26M&parallel=4",
          "at most 25M per stream with 4 streams (--probe.max-bitrate=100M), got \"26M\"");
  refuses("bitrate=13M&parallel=4&bidirectional=1",
          "at most 12.5M per stream with 8 streams (--probe.max-bitrate=100M), got \"13M\"");
  refuses("bitrate=34M&parallel=3",
          "at most 33333.333K per stream with 3 streams (--probe.max-bitrate=100M), got \"34M\"");
  refuses("bitrate=0", "above 0 and at most 100M (--probe.max-bitrate=100M), got \"0\"");
  // By default TCP is unlimited, and UDP is limited to 1 Mbit/s per stream.
  Accepts(
      "parallel=4", [](const auto& r) { return r.test.bitrate_bits_per_second == 25'000'000u; },
      limits);
  Accepts(
      "udp_mode=1", [](const auto& r) { return !r.test.bitrate_bits_per_second; }, limits);
  // iperf3's megabit has 1024 * 1024 bits here.
  for (const std::uint64_t limit : {500'000U, 1'048'575U}) {
    limits.max_bitrate_bits_per_second = limit;
    Accepts(
        "udp_mode=1", [&](const auto& r) { return r.test.bitrate_bits_per_second == limit; },
        limits);
  }
  limits.max_bitrate_bits_per_second = 1'048'576;
  Accepts(
      "udp_mode=1", [](const auto& r) { return !r.test.bitrate_bits_per_second; }, limits);
}

TEST(ProbeRequestTest, ABurstWouldExceedTheBitrateLimit) {
  ProbeLimits limits;
  Accepts(
      "bitrate=5M/20", [](const auto& r) { return r.test.burst_packets == 20u; }, limits);
  limits.max_bitrate_bits_per_second = 100'000'000;
  Refuses("bitrate=5M/20",
          "'bitrate' parameter must have no burst, because the bitrate is limited "
          "(--probe.max-bitrate=100M)",
          limits);
}

TEST(ProbeRequestTest, ARefusalHasWhatIsKnown) {
  const auto expect = [](const std::string& query, const std::string& target, int port) {
    const auto request = Parse(query);
    ASSERT_FALSE(request) << query;
    EXPECT_EQ(request.error().reason, RefusalReason::kBadRequest);
    EXPECT_EQ(request.error().target, target) << query;
    EXPECT_EQ(request.error().port, port) << query;
  };
  expect("target=h:7&period=x", "h", 7);
  expect("period=x&target=h", "h", 5201);
  expect("target=h&port=x", "h", 0);
  expect("target=a%20b&port=7", "", 0);
  expect("port=7", "", 0);
  expect("target=h&x=%", "", 0);
}

TEST(ProbeRequestTest, Period) {
  struct {
    std::string text;
    std::uint32_t period_seconds;
  } const cases[] = {{"5s", 5},    {"0", 5},    {"0s", 5},  {"10s", 10},   {"1m30s", 90},
                     {"300ms", 1}, {"1.5s", 2}, {"1ns", 1}, {"1h", 3600},  {"60m", 3600},
                     {"-0", 5},    {"5", 5},    {"90", 90}, {"3600", 3600}};
  for (const auto& c : cases) {
    Accepts("period=" + c.text,
            [&](const auto& r) { return r.test.period_seconds == c.period_seconds; });
  }
  for (const std::string value : {"abc", "-1s", "3601s", "1h1ns", "1d", "5 s", "9999999999h", "+5s",
                                  "-5", "3601", "5.5", "99999999999999999999"}) {
    Refuses("period=" + value, "'period' parameter must be a duration");
  }
  Accepts("period=2s", [](const auto& r) { return r.test.period_seconds == 2; },
          {seconds(2), 128, {}});
  Accepts("", [](const auto& r) { return r.test.period_seconds == 2; }, {seconds(2), 128, {}});
  Refuses("period=3s", "'period' parameter must be a duration such as 10s or 1m30s, from 0 to 2s",
          {seconds(2), 128, {}});
}

TEST(ProbeRequestTest, Bind) {
  for (const std::string name : {"bind", "bind_address"}) {
    Accepts(name + "=192.0.2.7",
            [](const auto& r) { return r.bind == ParseHost("192.0.2.7") && !r.test.bind_address; });
    Accepts(name + "=[::1]", [](const auto& r) {
      return r.bind->text == "::1" && ToString(*r.bind->address) == "::1";
    });
    Accepts(name + "=gw.example", [](const auto& r) { return r.bind == ParseHost("gw.example"); });
    for (const std::string value : {"-x", "a b", "1.2.3.4:80", "%3B", "a/24"}) {
      Refuses(std::string(name).append("=").append(value),
              std::string("'").append(name).append("' parameter must be an IP address or a host "
                                                   "name"));
    }
  }
  Accepts("bind=192.0.2.1&bind_address=192.0.2.2",
          [](const auto& r) { return r.bind->text == "192.0.2.1"; });
}

TEST(ProbeRequestTest, BindMayIncludeTheDevice) {
  for (const std::string query : {"bind=192.0.2.1%25eth0", "bind_address=192.0.2.1%25eth0",
                                  "bind=192.0.2.1%25eth0&bind_device=eth0"}) {
    Accepts(query, [](const auto& r) {
      return r.bind == ParseHost("192.0.2.1") && r.test.bind_device == "eth0";
    });
  }
  Accepts("bind=2001:db8::1%25eth0", [](const auto& r) {
    return r.bind->text == "2001:db8::1" && r.test.bind_device == "eth0";
  });
  // At a link-local address it is a zone.
  Accepts("bind=fe80::1%25eth0", [](const auto& r) {
    return r.bind->text == "fe80::1%eth0" && r.test.bind_device.empty();
  });
  for (const std::string value :
       {"192.0.2.1%25", "192.0.2.1%25a/b", "gw.example%25eth0", "192.0.2.1%251234567890123456",
        "192.0.2.1%25eth0&bind_device=eth1"}) {
    Refuses("bind=" + value, "'bind' parameter must be an IP address or a host name");
  }
  const auto old = ParseFor("3.9", {}, "target=h&bind=192.0.2.1%25eth0");
  ASSERT_FALSE(old);
  EXPECT_THAT(old.error().text,
              StartsWith("'bind' parameter requires an iperf3 that supports --bind-dev"));
}

TEST(ProbeRequestTest, EndsAfterBytes) {
  Accepts("bytes=20M", [](const auto& r) { return r.test.bytes == 20U << 20; });
  Accepts("bytes=1", [](const auto& r) { return r.test.bytes == 1U; });
  Accepts("bytes=1.5k&period=30",
          [](const auto& r) { return r.test.bytes == 1536U && r.test.period_seconds == 30; });
  for (const std::string value : {"0", "-1", "x", "1P", "1025T"}) {
    Refuses("bytes=" + value, "'bytes' parameter must be a number of bytes as #[KMGT] from 1 to");
  }
}

TEST(ProbeRequestTest, SomeOptionsNeedOneProtocol) {
  Accepts("gso=1&udp_mode=1", [](const auto& r) { return r.test.gso; });
  Accepts("dont_fragment=1&udp_mode=1",
          [](const auto& r) { return r.test.dont_fragment && r.ip_version == IpVersion::kV4; });
  Refuses("dont_fragment=1&udp_mode=1&ip_version=6",
          "'dont_fragment' parameter must be true only over IPv4");
  Accepts("gso=0&dont_fragment=0", [](const auto& r) { return !r.test.gso; });
  Accepts("mptcp=0&udp_mode=1", [](const auto& r) { return !r.test.mptcp; });
  Refuses("gso=1", "'gso' parameter must be true only together with 'udp_mode'");
  Refuses("dont_fragment=1", "'dont_fragment' parameter must be true only together with");
  Refuses("mptcp=1&udp_mode=1", "'mptcp' parameter must not be true together with 'udp_mode'");
}

TEST(ProbeRequestTest, BindDevice) {
  for (const std::string value : {"eth0", "eth0.10", "veth@if3", "wg-home_1", "123456789012345"}) {
    Accepts("bind_device=" + value, [&](const auto& r) { return r.test.bind_device == value; });
  }
  for (const std::string value :
       {"1234567890123456", "-e", ".", "..", "a/b", "a:b", "a+b", "%22"}) {
    Refuses("bind_device=" + value,
            "'bind_device' parameter must be the name of a network interface");
  }
}

TEST(ProbeRequestTest, Parallel) {
  Accepts("parallel=1", [](const auto& r) { return r.test.parallel == 1; });
  Accepts("parallel=128", [](const auto& r) { return r.test.parallel == 128; });
  for (const std::string value : {"0", "129", "-1", "x", "1.5"}) {
    Refuses("parallel=" + value, "'parallel' parameter must be an integer from 1 to 128");
  }
  Refuses("parallel=9", "'parallel' parameter must be an integer from 1 to 8",
          {seconds(3600), 8, {}});
}

TEST(ProbeRequestTest, FurtherOptions) {
  Accepts("omit=3", [](const auto& r) { return r.test.omit_seconds == 3; });
  Accepts("omit=1.5s", [](const auto& r) { return r.test.omit_seconds == 2; });
  Accepts("omit=60", [](const auto& r) { return r.test.omit_seconds == 60; });
  Accepts("window=256K", [](const auto& r) { return r.test.window_bytes == 262144u; });
  Accepts("window=512m", [](const auto& r) { return r.test.window_bytes == 512u << 20; });
  Accepts("mss=88", [](const auto& r) { return r.test.mss_bytes == 88u; });
  Accepts("mss=9216", [](const auto& r) { return r.test.mss_bytes == 9216u; });
  Accepts("length=1M", [](const auto& r) { return r.test.length_bytes == 1u << 20; });
  Accepts("length=65507&udp_mode=1", [](const auto& r) { return r.test.length_bytes == 65507u; });
  Accepts("congestion=bbr", [](const auto& r) { return r.test.congestion == "bbr"; });
  Accepts("dscp=46", [](const auto& r) { return r.test.dscp == 46u; });
  Accepts("dscp=EF", [](const auto& r) { return r.test.dscp == 46u; });
  Accepts("dscp=af11", [](const auto& r) { return r.test.dscp == 10u; });
  Accepts("dscp=cs7", [](const auto& r) { return r.test.dscp == 56u; });
  Accepts("ip_version=4", [](const auto& r) { return r.ip_version == IpVersion::kV4; });
  Accepts("ip_version=6", [](const auto& r) { return r.ip_version == IpVersion::kV6; });
  Accepts("cport=5300", [](const auto& r) { return r.test.client_port == 5300; });
  // Every stream uses the next port.
  Accepts("cport=65532&parallel=4", [](const auto& r) { return r.test.client_port == 65532; });
  Refuses("cport=65533&parallel=4", "'cport' parameter must be an integer from 1024 to 65532");
  Refuses("cport=65532&parallel=4&bidirectional=1", "'cport' parameter must be an integer from");
}

TEST(ProbeRequestTest, FurtherRefusals) {
  struct {
    std::string name;
    std::vector<std::string> values;
  } const cases[] = {
      {"omit", {"61", "-1", "x", "61s", "-1s"}},
      {"window", {"0", "513M", "x", "-1", "1P", "1e3"}},
      {"mss", {"87", "9217", "x", "1K"}},
      {"length", {"0", "1048577", "2M", "x"}},
      {"congestion", {"Cubic", "a b", "1234567890123456", "-x", "a/b"}},
      {"dscp", {"64", "-1", "ef2", "af14", "0x2e"}},
      {"ip_version", {"5", "v4", "46"}},
      {"cport", {"0", "80", "1023", "65536", "x"}},
  };
  for (const auto& c : cases) {
    for (const std::string& value : c.values) {
      Refuses(c.name + '=' + value, '\'' + c.name + "' parameter must be ");
    }
  }
  Refuses("length=15&udp_mode=1", "'length' parameter must be a number of bytes");
  Refuses("length=65508&udp_mode=1", "'length' parameter must be a number of bytes");
  EXPECT_THAT(RefusalText("target=::1&ip_version=4"),
              StartsWith("'ip_version' parameter must agree"));
  EXPECT_THAT(RefusalText("target=127.0.0.1&ip_version=6"),
              StartsWith("'ip_version' parameter must agree"));
}

TEST(ProbeRequestTest, RefusesOptionsThatTheInstalledIperf3Lacks) {
  for (const std::string query : {"bidirectional=1", "bind_device=eth0", "dscp=1", "zerocopy=1",
                                  "congestion=bbr", "cport=5300", "mptcp=1", "gso=1&udp_mode=1",
                                  "dont_fragment=1&udp_mode=1", "skip_rx_copy=1"}) {
    const auto request = ParseFor("3.1.3", {}, "target=h&" + query);
    ASSERT_FALSE(request) << query;
    EXPECT_THAT(request.error().text, StartsWith('\'' + query.substr(0, query.find('=')) +
                                                 "' parameter requires an iperf3"));
    EXPECT_THAT(request.error().text, HasSubstr("version \"3.1.3\""));
  }
  EXPECT_TRUE(ParseFor("3.1.3", {}, "target=h&udp_mode=1&reverse_mode=1&parallel=2&zerocopy=0"));
}

TEST(ProbeRequestTest, RefusesKnownDefectsOfTheInstalledIperf3) {
  const auto message = [](const std::string& query, const std::string& version) {
    const auto request = ParseFor(version, kAll, "target=h&" + query);
    return request ? std::string() : request.error().text;
  };
  EXPECT_EQ(message("bitrate=5M/20", "3.18"),
            "'bitrate' parameter can't be used with the installed iperf3, version \"3.18\": a "
            "bitrate with a burst is not limited, got \"5M/20\"");
  EXPECT_EQ(message("bitrate=5M", "3.18"), "");
  EXPECT_EQ(message("bitrate=5M/20", "3.12"), "");
  EXPECT_THAT(message("omit=1&udp_mode=1", "3.9"), StartsWith("'omit' parameter can't be used"));
}

TEST(ProbeRequestTest, MaxAgeIsADuration) {
  Accepts("max_age=1m30s", [](const auto& r) { return r.max_age == seconds(90); });
  Accepts("max_age=100ms", [](const auto& r) { return r.max_age == milliseconds(100); });
  Accepts("max_age=24h", [](const auto& r) { return r.max_age == std::chrono::hours(24); });
  Accepts("max_age=0", [](const auto& r) { return r.max_age == nanoseconds(0); });
  Accepts("max_age=0s", [](const auto& r) { return r.max_age == nanoseconds(0); });
  for (const std::string value : {"-1s", "60", "24h1ns", "1000000h", "x", "1d", "1.5", "s"}) {
    EXPECT_EQ(RefusalText("target=h&max_age=" + value),
              "'max_age' parameter must be a duration such as 90s or 1m30s, from 0 to 24h0m0s, got "
              "\"" +
                  value + '"');
  }
}

TEST(ProbeRequestTest, UsesTheFirstOfARepeatedParameter) {
  Accepts("port=1&port=2&port=x", [](const auto& r) { return r.ports.front() == 1; });
  EXPECT_EQ(Parse("target=a&target=b")->target, "a");
}

TEST(ProbeRequestTest, ListsEachUnknownParameterOnce) {
  const auto request = Parse("other=x&target=h&debug&other=y&%22=1");
  ASSERT_TRUE(request);
  EXPECT_THAT(request->ignored_parameters, ElementsAre("other", "debug", "\""));
}

TEST(ProbeRequestTest, DecodesLikeAForm) {
  EXPECT_EQ(Parse("t%61rget=%68.example")->target, "h.example");
  EXPECT_THAT(RefusalText("target=a+b"), HasSubstr("got \"a b\""));
  EXPECT_EQ(Parse("&&target=h&&")->target, "h");
  Accepts("period=%31s", [](const auto& r) { return r.test.period_seconds == 1; });
}

TEST(ProbeRequestTest, RefusesHostileBytesAnywhere) {
  for (const std::string bad : {"%", "%f", "%zz", "%%", "%0", "% 1", "%-1"}) {
    EXPECT_THAT(RefusalText("target=" + bad),
                StartsWith("'target' parameter must be percent-encoded"));
    EXPECT_THAT(RefusalText("target=h&unknown=" + bad),
                StartsWith("'unknown' parameter must be percent"));
    EXPECT_THAT(RefusalText("target=h&" + bad + "=1"),
                StartsWith("the name of a parameter must be"));
  }
  for (const std::string bad : {"%00", "%01", "%0a", "%0D%0A", "%1b", "%7f", "%FF%FE", "%C0%80",
                                "%ED%A0%80", "%80", "\x01", "\xff", "\x7f", "%F4%90%80%80"}) {
    EXPECT_THAT(RefusalText("target=" + bad), StartsWith("'target' parameter must be UTF-8 text"))
        << bad;
    EXPECT_THAT(RefusalText("target=h&unknown=x" + bad),
                StartsWith("'unknown' parameter must be UTF-8"));
    EXPECT_THAT(RefusalText("target=h&" + bad),
                StartsWith("the name of a parameter must be UTF-8"));
  }
}

TEST(ProbeRequestTest, MessagesAreOneLineAndCut) {
  for (const std::string& query :
       {"port=" + std::string(5000, 'x'), "target=" + std::string(5000, 'x'),
        "target=h&bitrate=%22%5C%3Cscript%3E" + std::string(500, 'y'),
        "target=h&" + std::string(5000, 'n') + "=%00"}) {
    const std::string message = RefusalText(query);
    EXPECT_LT(message.size(), 450u);
    EXPECT_FALSE(message.empty());
    for (const char c : message) EXPECT_TRUE(static_cast<unsigned char>(c) >= ' ');
  }
}

TEST(ProbeRequestTest, RefusesALongQuery) {
  EXPECT_THAT(RefusalText("target=h&x=" + std::string(10'000, 'a')),
              StartsWith("the query must be at most"));
  EXPECT_TRUE(Parse("target=h&x=" + std::string(kMaxQueryBytes - 11, 'a')));
}

}  // namespace
}  // namespace iperf3_exporter
