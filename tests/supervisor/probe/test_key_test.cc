// Which requests have equal tests.
#include "supervisor/results/test_key.h"

#include <gtest/gtest.h>

#include <map>

#include "supervisor/probe/probe_progress.h"

namespace iperf3_exporter {
namespace {

const Modules& SomeModules() {
  static const Modules kModules = [] {
    Modules modules = ModulesOfFlags(Options{});
    Module module = ModuleOfFlags(Options{});
    module.name = "m";
    modules.by_name["m"] = std::make_shared<const Module>(module);
    modules.by_name["other"] = std::make_shared<const Module>(module);
    return modules;
  }();
  return kModules;
}

AddressPair PairTo(const char* address) { return {*ParseIpAddress(address), std::nullopt}; }

// The key of the test that the query asks for, with a target that has two addresses.
TestKey KeyOf(const std::string& query, const Modules& modules = SomeModules(),
              std::vector<AddressPair> addresses = {PairTo("192.0.2.1"), PairTo("192.0.2.2")}) {
  Iperf3Description iperf3{.version = "3.21", .capabilities = {}, .program = {}};
  iperf3.capabilities.options.set();
  auto request = ParseProbeRequest(query, modules, iperf3);
  if (!request) throw std::runtime_error(query + ": " + request.error().text);
  ProbeProgress progress(std::move(*request), {}, {});
  progress.SetCandidates(std::move(addresses));
  return progress.BuildKey();
}

// For each parameter, values that are a test each. The first one is the default.
using Values = std::map<std::string_view, std::vector<std::string>>;

Values DifferentValues() {
  return {
      {"module", {"", "m", "other"}},
      {"target", {"h", "h.example", "h.", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1"}},
      {"port", {"5201", "5202", "5201,5202", "5201-5203"}},
      {"ip_version", {"", "4"}},
      {"reverse_mode", {"0", "1"}},
      {"udp_mode", {"0", "1"}},
      {"bidirectional", {"0", "1"}},
      {"period", {"5s", "4s", "6s"}},
      {"bytes", {"", "1", "2", "1K"}},
      {"parallel", {"1", "2", "3"}},
      {"omit", {"0", "1", "2"}},
      {"bitrate", {"", "0", "1K", "1001", "1K/1", "1K/2"}},
      {"bind_address", {"", "192.0.2.9", "192.0.2.10", "name"}},
      {"bind_device", {"", "eth0", "eth1"}},
      {"window", {"", "1K", "1025"}},
      {"mss", {"", "1400", "1401"}},
      {"length", {"", "1K", "1025"}},
      {"congestion", {"", "cubic", "bbr"}},
      {"dscp", {"", "0", "1"}},
      {"cport", {"", "5300", "5301"}},
      {"no_delay", {"0", "1"}},
      {"zerocopy", {"0", "1"}},
      {"mptcp", {"0", "1"}},
      {"dont_fragment", {"0", "1"}},
      {"gso", {"0", "1"}},
      {"skip_rx_copy", {"0", "1"}},
  };
}

// The parameter with that value, beside what it needs.
std::string QueryWith(const TestOption& option, const std::string& value) {
  const std::string name(option.name);
  std::string query = name == "target" ? "" : "target=h&";
  if (option.only_with == Protocol::kUdp) query += "udp_mode=1&";
  // It forces IPv4.
  if (name == "dont_fragment") query += "ip_version=4&";
  return query + name + '=' + value;
}

TEST(TestKeyTest, EachParameterMakesADifferentTest) {
  const Values values = DifferentValues();
  for (const TestOption& option : kTestOptions) {
    if (option.name == "max_age") continue;
    ASSERT_TRUE(values.contains(option.name)) << option.name;
    const std::vector<std::string>& list = values.at(option.name);
    ASSERT_GE(list.size(), 2U) << option.name;
    for (const std::string& first : list) {
      for (const std::string& second : list) {
        EXPECT_EQ(KeyOf(QueryWith(option, first)) == KeyOf(QueryWith(option, second)),
                  first == second)
            << option.name << ": " << first << ", " << second;
      }
    }
  }
}

TEST(TestKeyTest, DoesNotDependOnTheSpelling) {
  const std::vector<std::vector<std::string>> cases = {
      {"target=h", "target=h&port=", "target=h&port=0", "target=h&port=5201", "target=h:5201",
       "target=H", "target=h&period=5", "target=h&period=5s", "target=h&period=4.1s",
       "target=h&reverse_mode=F", "target=h&parallel=1", "target=h&omit=0", "target=h&bind=",
       "period=5&target=h", "target=h&max_age=10s", "target=h&unknown=1", "target=h&module="},
      {"target=h:5202", "target=h&port=5202", "port=5202&target=h", "target=h&port=5202-5202",
       "target=h&port=5202&port=5203"},
      {"target=h&port=5201-5203", "target=h&port=5203,5201,5202", "target=h&port=5201,5202-5203",
       "target=h&port=5201,5201-5203"},
      {"target=h&udp_mode=TRUE&reverse_mode=t", "reverse_mode=1&udp_mode=True&target=h"},
      {"target=h&bind=192.0.2.9", "target=h&bind_address=192.0.2.9"},
      {"target=h&bind=192.0.2.9%25eth0", "target=h&bind_address=192.0.2.9&bind_device=eth0"},
      {"target=h&bind=Name", "target=h&bind_address=name"},
      {"target=::1", "target=[::1]", "target=0:0::1", "target=[::1]:5201"},
      {"target=h&bitrate=1M", "target=h&bitrate=1000k", "target=h&bitrate=1000000"},
      {"target=h&bytes=1M", "target=h&bytes=1024K", "target=h&bytes=1048576"},
      {"target=h&dscp=ef", "target=h&dscp=46", "target=h&dscp=EF"},
      {"target=h&dont_fragment=1&udp_mode=1", "target=h&dont_fragment=1&udp_mode=1&ip_version=4"},
      {"target=h&module=m", "module=m&target=h", "target=h&module=m&module=other"},
  };
  for (const auto& queries : cases) {
    for (const std::string& query : queries) {
      EXPECT_EQ(KeyOf(query), KeyOf(queries.front())) << query << ", " << queries.front();
    }
  }
}

TEST(TestKeyTest, TheAddressesMatterButNotTheirOrder) {
  const auto key = [](std::vector<AddressPair> addresses) {
    return KeyOf("target=h", SomeModules(), std::move(addresses));
  };
  const AddressPair one = PairTo("192.0.2.1");
  const AddressPair two = PairTo("192.0.2.2");
  AddressPair bound = one;
  bound.source = ParseIpAddress("192.0.2.9");
  EXPECT_EQ(key({one, two}), key({two, one}));
  EXPECT_NE(key({one}), key({two}));
  EXPECT_NE(key({one}), key({one, two}));
  EXPECT_NE(key({one}), key({bound}));
}

TEST(TestKeyTest, AModuleThatWasLoadedAgainIsAnotherOne) {
  const Modules again = [] {
    Modules modules = SomeModules();
    modules.default_module = std::make_shared<const Module>(*modules.default_module);
    modules.by_name["m"] = std::make_shared<const Module>(*modules.by_name["m"]);
    return modules;
  }();
  for (const char* query : {"target=h", "target=h&module=m"}) {
    EXPECT_EQ(KeyOf(query, again), KeyOf(query, again)) << query;
    EXPECT_NE(KeyOf(query, again), KeyOf(query)) << query;
  }
  EXPECT_EQ(KeyOf("target=h&module=other", again), KeyOf("target=h&module=other"));
}

TEST(TestKeyTest, KeepsNoModuleAlive) {
  std::weak_ptr<const Module> module;
  const auto key = [&module] {
    const Modules modules = ModulesOfFlags(Options{});
    module = modules.default_module;
    return KeyOf("target=h", modules);
  };
  const TestKey first = key();
  EXPECT_TRUE(module.expired());
  // Even if the new one has the same address.
  const TestKey second = key();
  EXPECT_NE(first, second);
  EXPECT_EQ(first, first);
}

}  // namespace
}  // namespace iperf3_exporter
