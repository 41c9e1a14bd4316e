#include "supervisor/probe/own_test_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "supervisor/config/config_file.h"

namespace iperf3_exporter {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;

Modules Parse(const std::string& text) {
  const auto modules = ParseConfigFile(text, "config.yml", Options());
  EXPECT_TRUE(modules) << modules.error().message;
  return modules.value_or(ModulesOfFlags(Options()));
}

Modules WithTest(const std::string& keys) {
  return Parse(
      "modules: {m: {period: 2s}, ports: {port: \"5301-5302\"}}\ntests: [{name: a, every: 1m, " +
      keys + "}]");
}

TEST(OwnTestRequestTest, IsThatOfAUrl) {
  const Modules modules = WithTest("target: \"192.0.2.1:5201\", module: m");
  const auto request = BuildOwnTestRequest(*modules.own_tests[0], modules, AnyIperf3());
  const auto of_url = ParseProbeRequest("target=192.0.2.1:5201&module=m", modules, AnyIperf3());
  ASSERT_TRUE(request) << request.error().text;
  ASSERT_TRUE(of_url);
  EXPECT_EQ(request->target, of_url->target);
  EXPECT_EQ(request->host, of_url->host);
  EXPECT_EQ(request->ports, of_url->ports);
  EXPECT_EQ(request->test, of_url->test);
  EXPECT_EQ(request->module, of_url->module);
  EXPECT_EQ(request->max_age, of_url->max_age);
}

TEST(OwnTestRequestTest, SaysWhoAsks) {
  const Modules modules = WithTest("target: h");
  const auto request = BuildOwnTestRequest(*modules.own_tests[0], modules, AnyIperf3());
  ASSERT_TRUE(request);
  EXPECT_EQ(request->client, kOwnTestClient);
  EXPECT_EQ(request->own_test, "a");
  EXPECT_FALSE(request->has_budget);
}

TEST(OwnTestRequestTest, KnowsThatItHasABudget) {
  const Modules modules = WithTest("target: h, budget: {bytes: 1G, per: 1h}");
  EXPECT_TRUE(BuildOwnTestRequest(*modules.own_tests[0], modules, AnyIperf3())->has_budget);
}

TEST(OwnTestRequestTest, LabelsNameThePortAsConfigured) {
  const auto identity = [](const std::string& keys) {
    const Modules modules = WithTest(keys);
    const OwnTestIdentity built = BuildOwnTestIdentity(*modules.own_tests[0], modules);
    const auto request = BuildOwnTestRequest(*modules.own_tests[0], modules, AnyIperf3());
    EXPECT_EQ(built.target, request->target);
    EXPECT_EQ(built.name, "a");
    return std::array{built.target, built.port, built.module};
  };
  EXPECT_THAT(identity("target: h"), ElementsAre("h", "5201", ""));
  EXPECT_THAT(identity("target: h, port: 5202, module: m"), ElementsAre("h", "5202", "m"));
  EXPECT_THAT(identity("target: \"h:5203\""), ElementsAre("h", "5203", ""));
  EXPECT_THAT(identity("target: \"[2001:db8::1]:5203\""), ElementsAre("[2001:db8::1]", "5203", ""));
  EXPECT_THAT(identity("target: 2001:db8::1"), ElementsAre("2001:db8::1", "5201", ""));
  EXPECT_THAT(identity("target: h, port: \"5201-5203\""), ElementsAre("h", "5201-5203", ""));
  EXPECT_THAT(identity("target: h, module: ports"), ElementsAre("h", "5301-5302", "ports"));
}

TEST(OwnTestRequestTest, LabelsHaveThePortOfTheDefaultModule) {
  const Modules modules =
      Parse("modules: {default: {port: 5305}}\ntests: [{name: a, target: h, every: 1m}]");
  EXPECT_EQ(BuildOwnTestIdentity(*modules.own_tests[0], modules).port, "5305");
}

TEST(OwnTestRequestTest, TheShortestGapIsTheIntervalLessTheJitter) {
  EXPECT_EQ(ShortestGap({.every = minutes(10)}), minutes(10));
  EXPECT_EQ(ShortestGap({.every = minutes(10), .jitter_percent = 20}), minutes(8));
}

// The default test takes 5 s and an overhead of 1.3 s.
TEST(OwnTestRequestTest, ATestMustFitIntoItsInterval) {
  const auto check = [](const std::string& every) {
    const Modules modules = Parse("tests: [{name: a, target: h, every: 10s, jitter: " + every +
                                  "}, {name: b, target: h, every: 10s}]");
    return CheckOwnTests(modules, nullptr).has_value();
  };
  EXPECT_TRUE(check("37%"));
  EXPECT_FALSE(check("38%"));
}

TEST(OwnTestRequestTest, ATimeoutMayMakeItFit) {
  EXPECT_TRUE(CheckOwnTests(Parse("modules: {m: {period: 1h, timeout: 10s}}\n"
                                  "tests: [{name: a, target: h, every: 10s, module: m}]"),
                            nullptr));
}

}  // namespace
}  // namespace iperf3_exporter
