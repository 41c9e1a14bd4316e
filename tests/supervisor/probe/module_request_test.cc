// What a URL may ask for with a module.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/config/config_file.h"
#include "supervisor/probe/probe_request.h"

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class ModuleRequestTest : public testing::Test {
 protected:
  void Load(const std::string& text) {
    auto modules = ParseConfigFile(text, "config.yml", options_);
    ASSERT_TRUE(modules) << modules.error().message;
    modules_ = std::move(*modules);
    const Status checked = CheckModules(modules_, nullptr);
    ASSERT_TRUE(checked) << checked.error().message;
  }
  ParsedRequest Parse(const std::string& query) {
    Iperf3Description iperf3{.version = "3.18", .capabilities = {}, .program = {}};
    iperf3.capabilities.options.set();
    return ParseProbeRequest("target=h&" + query, modules_, iperf3);
  }
  void Refuses(const std::string& query, const std::string& words) {
    const auto request = Parse(query);
    ASSERT_FALSE(request) << query;
    EXPECT_EQ(request.error().reason, RefusalReason::kBadRequest);
    EXPECT_THAT(request.error().text, StartsWith(words)) << query;
  }

  Options options_;
  Modules modules_;
};

TEST_F(ModuleRequestTest, GivesTheParametersThatTheUrlLeavesOut) {
  Load("modules: {m: {reverse_mode: true, bytes: 20M, port: 5301-5302, override: [bytes]}}");
  const auto request = Parse("module=m");
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_EQ(request->test.direction, Direction::kDownload);
  EXPECT_EQ(request->test.bytes, 20U << 20U);
  EXPECT_THAT(request->ports, ElementsAre(5301, 5302));
  EXPECT_EQ(request->module, modules_.by_name.at("m"));
  EXPECT_EQ(Parse("module=m&bytes=1M")->test.bytes, 1U << 20U);
  EXPECT_EQ(Parse("module=m&bytes=")->test.bytes, 20U << 20U);
  EXPECT_EQ(Parse("module=m&bytes=1M&bytes=2M")->test.bytes, 1U << 20U);
  EXPECT_EQ(Parse("module=m&bytes=&bytes=2M")->test.bytes, 20U << 20U);
}

TEST_F(ModuleRequestTest, APeriodOf0IsTheModules) {
  Load("modules: {m: {period: 8s, override: [period]}, n: {}}");
  for (const char* zero : {"0", "0s", "0ms"}) {
    EXPECT_EQ(Parse("module=m&period=" + std::string(zero))->test.period_seconds, 8U) << zero;
  }
  EXPECT_EQ(Parse("module=m&period=1")->test.period_seconds, 1U);
  Refuses("module=n&period=0", "'period' parameter must not be given with module \"n\"");
}

// Of `default` a URL may override everything.
TEST_F(ModuleRequestTest, DefaultIsNoModuleToNameIfOneIsRequired) {
  options_.requires_module = true;
  Load("modules: {m: {}, default: {}}");
  EXPECT_TRUE(Parse("module=m"));
  Refuses("module=default",
          "'module' parameter must be the name of a module in --config.file other than default "
          "(--probe.require-module), got \"default\"");
  Refuses("", "'module' parameter must be specified");
}

TEST_F(ModuleRequestTest, SaysThatThereIsNoFile) {
  modules_ = ModulesOfFlags(options_);
  Refuses(
      "module=m",
      "'module' parameter must be the name of a module in --config.file, which is not set, got");
}

TEST_F(ModuleRequestTest, RefusesWhatIsNotOverridable) {
  Load(
      "modules: {m: {override: [bytes]}, p: {port: 5301, override: [bind]}, o: {port: 1, override: "
      "[port]}, none: {}, empty: {override: []}}");
  const std::string words =
      "must not be given with module \"m\", which lets a URL give only target, port, max_age, "
      "bytes";
  for (const char* name : {"reverse_mode", "udp_mode", "bitrate", "bind", "bind_address", "BYTES",
                           "unknown", "period"}) {
    for (const char* value : {"", "=", "=1"}) {
      Refuses("module=m&" + std::string(name) + value,
              "'" + std::string(name) + "' parameter " + words);
    }
  }
  Refuses("module=m&bytes=1M&reverse_mode=1", "'reverse_mode' parameter " + words);
  Refuses("module=p&port=5302", "'port' parameter must not be given with module \"p\"");
  for (const std::string module : {"none", "empty"}) {
    Refuses("module=" + module + "&bytes=1M", "'bytes' parameter must not be given with module \"" +
                                                  module + "\", which lets a URL give only target");
  }
  EXPECT_TRUE(Parse("module=m&port=1"));
  EXPECT_THAT(Parse("module=o&port=2")->ports, ElementsAre(2));
  EXPECT_TRUE(Parse("module=p&bind=127.0.0.1"));
  EXPECT_TRUE(Parse("module=p&bind_address=127.0.0.1"));
}

TEST_F(ModuleRequestTest, AUrlMayAlwaysGiveMaxAge) {
  Load("modules: {m: {}, o: {override: [bytes]}, default: {period: 2s}}");
  const auto expect = [this](const std::string& module) {
    const auto request = Parse("max_age=30s&module=" + module);
    ASSERT_TRUE(request) << request.error().text;
    EXPECT_EQ(request->max_age, std::chrono::seconds(30));
  };
  for (const char* module : {"m", "o", "default", ""}) expect(module);
  modules_.requires_module = true;
  for (const char* module : {"m", "o"}) expect(module);
  Refuses("module=m&max_age=30", "'max_age' parameter must be a duration");
}

TEST_F(ModuleRequestTest, AModuleDoesNotSetMaxAge) {
  for (const char* key : {"max_age: 30s", "override: [max_age]", "max: {max_age: 30s}"}) {
    const auto modules =
        ParseConfigFile("modules: {m: {" + std::string(key) + "}}", "config.yml", options_);
    ASSERT_FALSE(modules) << key;
    EXPECT_THAT(modules.error().message, HasSubstr("max_age")) << key;
  }
}

TEST_F(ModuleRequestTest, TheTargetSetsThePortOnlyIfTheUrlMay) {
  Load("modules: {m: {}, p: {port: 5301}, default: {port: 5400}}");
  Iperf3Description iperf3;
  const auto parse = [&](const std::string& query) {
    return ParseProbeRequest(query, modules_, iperf3);
  };
  EXPECT_THAT(parse("module=m&target=h:7")->ports, ElementsAre(7));
  EXPECT_THAT(parse("target=h:7")->ports, ElementsAre(7));
  EXPECT_THAT(parse("target=h")->ports, ElementsAre(5400));
  EXPECT_FALSE(parse("module=p&target=h:7"));
  EXPECT_FALSE(parse("module=m&target=h:7&port=8"));
  EXPECT_FALSE(parse("module=m&target=h:7-9"));
}

TEST_F(ModuleRequestTest, BindDoesNotSetADeviceThatIsNotOverridable) {
  Load(
      "modules:\n  a: {override: [bind]}\n  d: {override: [bind, bind_device]}\n"
      "  s: {bind_device: eth0, override: [bind]}\n  own: {bind: 192.0.2.1%eth1}");
  Refuses("module=a&bind=192.0.2.1%25eth0", "'bind' parameter must have no %DEVICE");
  EXPECT_EQ(Parse("module=d&bind=192.0.2.1%25eth0")->test.bind_device, "eth0");
  EXPECT_EQ(Parse("module=s&bind=192.0.2.1%25eth0")->test.bind_device, "eth0");
  Refuses("module=s&bind=192.0.2.1%25eth1", "'bind' parameter must be an IP address");
  EXPECT_EQ(Parse("module=own")->test.bind_device, "eth1");
}

TEST_F(ModuleRequestTest, LimitsWhatTheUrlGives) {
  options_.probe_limits.max_parallel = 16;
  Load(
      "modules: {m: {override: [bytes, parallel, period, bitrate], "
      "max: {bytes: 50M, parallel: 99, period: 10s, bitrate: 8M}}}");
  EXPECT_TRUE(Parse("module=m&bytes=50M&parallel=8&bitrate=1M&period=10"));
  Refuses("module=m&bytes=52428801", "'bytes' parameter must be a number of bytes");
  Refuses("module=m&period=11s", "'period' parameter must be a duration");
  Refuses("module=m&parallel=17",
          "'parallel' parameter must be an integer from 1 to 16 (--probe.max-parallel=16)");
  Refuses("module=m&parallel=8&bitrate=1001K",
          "'bitrate' parameter must be at most 1M per stream with 8 streams (the maximum of module "
          "\"m\")");
  Refuses("module=m&bitrate=0", "'bitrate' parameter must be above 0");
  Refuses("module=m&bitrate=1K/5",
          "'bitrate' parameter must have no burst, because the bitrate is limited (the maximum of "
          "module \"m\"");
  EXPECT_EQ(Parse("module=m&parallel=4")->test.bitrate_bits_per_second, 2'000'000U);
}

TEST_F(ModuleRequestTest, TheDefaultModuleIsForRequestsWithoutOne) {
  Load("modules: {default: {udp_mode: true, period: 2s, max: {period: 3s}}, m: {}}");
  for (const char* query : {"", "module=", "module=default"}) {
    const auto request = Parse(query);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->test.protocol, Protocol::kUdp);
    EXPECT_EQ(request->test.period_seconds, 2U);
  }
  EXPECT_EQ(Parse("udp_mode=0")->test.protocol, Protocol::kTcp);
  EXPECT_THAT(Parse("unknown=1")->ignored_parameters, ElementsAre("unknown"));
  Refuses("period=4s", "'period' parameter must be a duration");
  EXPECT_EQ(Parse("module=m")->test.protocol, Protocol::kTcp);
}

TEST_F(ModuleRequestTest, NamesAnUnknownOrMissingModule) {
  Load("modules: {m: {}}");
  Refuses("module=M",
          "'module' parameter must be the name of a module in --config.file, got \"M\"");
  modules_.requires_module = true;
  Refuses("", "'module' parameter must be specified (--probe.require-module)");
  Refuses("module=&module=m", "'module' parameter must be specified (--probe.require-module)");
  EXPECT_TRUE(Parse("module=m"));
}

TEST_F(ModuleRequestTest, RequiresAnIperf3WithAuthentication) {
  Load("modules: {m: {auth: {username: u, password_file: p, rsa_public_key_file: k}}, other: {}}");
  Refuses("module=m", "'module' parameter requires an iperf3 with authentication");
  EXPECT_TRUE(Parse("module=other"));
}

TEST_F(ModuleRequestTest, EveryPortOfAModuleMustBeAllowed) {
  ASSERT_TRUE(options_.target_policy.AddPort("5201-5202"));
  Load("modules: {m: {port: 5201-5202}, free: {}}");
  const auto modules = ParseConfigFile("modules: {m: {port: 5201-5203}}", "config.yml", options_);
  ASSERT_TRUE(modules);
  const Status checked = CheckModules(*modules, nullptr);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message,
            "config.yml:1: modules.m.port: must be in --probe.allow-port, got \"5203\"");
}

TEST_F(ModuleRequestTest, SaysThatTheModuleSetTheValue) {
  options_.probe_limits.max_bitrate_bits_per_second = 10'000'000;
  Load("modules: {m: {bitrate: 5M, override: [parallel]}}");
  const auto request = Parse("module=m&parallel=4");
  ASSERT_FALSE(request);
  EXPECT_THAT(request.error().text, HasSubstr("(module \"m\" sets it), got \"5M\""));
}

TEST_F(ModuleRequestTest, TargetsMustBeAllowedByTheFlagsAndTheModule) {
  ASSERT_TRUE(options_.target_policy.AddTarget("10.0.0.0/8"));
  ASSERT_TRUE(options_.target_policy.AddTarget("*.example.org"));
  Load("modules: {m: {allow_targets: [10.1.0.0/16, 192.0.2.1, a.example.org]}}");
  const TargetPolicy& policy = modules_.by_name.at("m")->target_policy;
  const auto allows = [&policy](const char* host, const char* address) {
    return policy.AllowsTarget(*ParseHost(host), *ParseIpAddress(address));
  };
  EXPECT_TRUE(allows("10.1.0.1", "10.1.0.1"));
  EXPECT_FALSE(allows("10.2.0.1", "10.2.0.1"));
  EXPECT_FALSE(allows("192.0.2.1", "192.0.2.1"));
  EXPECT_TRUE(allows("a.example.org", "1.1.1.1"));
  EXPECT_FALSE(allows("b.example.org", "1.1.1.1"));
  EXPECT_FALSE(policy.MayAllow(*ParseHost("192.0.2.1")));
  EXPECT_TRUE(policy.MayAllow(*ParseHost("any.example.org")));
  EXPECT_THAT(policy.ForbiddenText(*ParseHost("192.0.2.1"), {}),
              HasSubstr("192.0.2.1 is not in --probe.allow-target"));
  EXPECT_THAT(policy.ForbiddenText(*ParseHost("10.2.0.1"), {}),
              HasSubstr("10.2.0.1 is not in allow_targets of module \"m\""));
}

}  // namespace
}  // namespace iperf3_exporter
