#include "supervisor/app/module_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "supervisor/config/modules_page.h"
#include "supervisor/probe/probe_request.h"
#include "tests/helpers/temporary_directory.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::filesystem::path kFiles = TestData("config");

// With the iperf3 that is set.
class ModuleStoreTest : public testing::Test {
 protected:
  ModuleStoreTest() { options_.state_directory = "/state"; }

  Status Load(const std::string& file) {
    options_.config_file = file;
    config_ =
        std::make_unique<ModuleStore>(options_, [this] { return iperf3_ ? &*iperf3_ : nullptr; });
    return config_->LoadFirst();
  }
  Status LoadText(const std::string& text) {
    const std::string file = directory_ / "config.yml";
    std::ofstream(file) << text;
    return Load(file);
  }

  TemporaryDirectory directory_;
  Options options_;
  std::optional<Iperf3Description> iperf3_;
  std::unique_ptr<ModuleStore> config_;
};

TEST_F(ModuleStoreTest, HasNoModulesWithoutAFile) {
  ModuleStore config(options_, [] { return nullptr; });
  EXPECT_TRUE(config.LoadFirst());
  EXPECT_TRUE(config.modules()->by_name.empty());
  EXPECT_EQ(config.modules()->default_module->name, "");
}

TEST_F(ModuleStoreTest, WithoutAFileTheFlagsApply) {
  options_.probe_retries = 7;
  options_.probe_times.default_timeout = std::chrono::seconds(8);
  const ModuleStore config(options_, [] { return nullptr; });
  const Module& module = *config.modules()->default_module;
  EXPECT_EQ(module.retries, 7U);
  EXPECT_EQ(module.times.default_timeout, std::chrono::seconds(8));
}

TEST_F(ModuleStoreTest, LoadsEveryKey) {
  const Status loaded = Load(kFiles / "good.yml");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Modules& modules = *config_->modules();
  EXPECT_EQ(modules.by_name.size(), 3U);
  EXPECT_EQ(modules.default_module, modules.by_name.at("default"));
  const Module& module = *modules.by_name.at("lte_down");
  EXPECT_EQ(module.retries, 2U);
  EXPECT_EQ(module.times.limit, std::chrono::seconds(20));
  ASSERT_TRUE(module.auth);
  EXPECT_EQ(module.auth->credentials.username, "probe");
  EXPECT_EQ(module.auth->credentials.password, "kittens");
  EXPECT_THAT(module.auth->credentials.public_key, StartsWith("-----BEGIN PUBLIC KEY-----\n"));
  EXPECT_TRUE(module.auth->credentials.pkcs1_padding);
}

TEST_F(ModuleStoreTest, LoadsEveryKeyOfAnOwnTest) {
  const Status loaded = Load(kFiles / "good.yml");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto& tests = config_->modules()->own_tests;
  ASSERT_EQ(tests.size(), 3U);
  const OwnTest& test = *tests[0];
  EXPECT_EQ(test.name, "hq-lte");
  EXPECT_EQ(test.target, "hq.example.org");
  EXPECT_EQ(test.module, "lte_down");
  EXPECT_EQ(test.every, std::chrono::minutes(30));
  EXPECT_EQ(test.jitter_percent, 20U);
  ASSERT_EQ(test.windows.size(), 2U);
  EXPECT_EQ(test.windows[0], (TimeWindow{.days = 0b0011111,
                                         .from = std::chrono::hours(22),
                                         .to = std::chrono::hours(6),
                                         .zone = "Europe/Berlin"}));
  EXPECT_EQ(test.windows[1], (TimeWindow{.days = 0b1100101,
                                         .from = std::chrono::hours(0),
                                         .to = std::chrono::hours(24),
                                         .zone = "UTC"}));
  EXPECT_EQ(test.budget,
            (OwnTestBudget{.bytes = std::uint64_t{2} << 30U, .per = std::chrono::hours(24)}));
  EXPECT_THAT(test.labels,
              testing::ElementsAre(testing::Pair("null", "B\"\\ü"), testing::Pair("site", "ber")));
  EXPECT_EQ(tests[1]->target, "192.0.2.7:5301");
  EXPECT_EQ(tests[2]->port, "5302");
  EXPECT_TRUE(tests[1]->windows.empty());
  EXPECT_FALSE(tests[1]->budget);
}

TEST_F(ModuleStoreTest, AcceptsTheBoundsOfOwnTests) {
  const std::string name(64, 't');
  ASSERT_TRUE(
      LoadText("modules: {m: {period: 1s, bitrate: 1M}}\ntests: [{name: " + name +
               ", target: h, module: m, every: 10s, jitter: 50%, budget: {bytes: 1M, per: 1m}}, "
               "{name: a, target: h, module: m, every: 744h, jitter: 0%, budget: {bytes: 1T, per: "
               "8784h}}]"));
  const auto& tests = config_->modules()->own_tests;
  EXPECT_EQ(tests[0]->name, name);
  EXPECT_EQ(tests[0]->jitter_percent, 50U);
  EXPECT_EQ(tests[1]->every, std::chrono::hours(744));
  EXPECT_TRUE(LoadText("tests: []"));
}

TEST_F(ModuleStoreTest, AWindowIsForEveryDayAndInUtcByDefault) {
  ASSERT_TRUE(LoadText(
      "tests: [{name: a, target: h, every: 1m, windows: [{from: \"22:00\", to: \"06:00\"}]}]"));
  const TimeWindow& window = config_->modules()->own_tests[0]->windows.at(0);
  EXPECT_TRUE(window.days.all());
  EXPECT_EQ(window.zone, "UTC");
}

TEST_F(ModuleStoreTest, TakesTenThousandOwnTestsAndNoMore) {
  const auto load = [this](int count) {
    std::string text = "tests:\n";
    for (int i = 0; i < count; ++i) {
      text += "- {name: test-" + std::to_string(i) + ", target: h, every: 30m, labels: {a: b}}\n";
    }
    return LoadText(text);
  };
  EXPECT_TRUE(load(10'000));
  EXPECT_EQ(config_->modules()->own_tests.size(), 10'000U);
  const Status loaded = load(10'001);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message,
              EndsWith("config.yml:10002: tests: expected at most 10000 tests"));
}

TEST_F(ModuleStoreTest, ABudgetNeedsAStateDirectoryAndAWorstCase) {
  constexpr char kBudget[] =
      "tests: [{name: a, target: h, every: 1m, budget: {bytes: 1G, per: 24h}}]";
  EXPECT_THAT(LoadText(kBudget).error().message,
              HasSubstr(":1: tests.a: budget: nothing limits what a test transfers"));
  // A limit of the flags is one.
  options_.probe_limits.max_bitrate_bits_per_second = 10'000'000;
  EXPECT_TRUE(LoadText(kBudget));
  options_.probe_limits.max_bitrate_bits_per_second = 10'000'000'000;
  EXPECT_THAT(LoadText(kBudget).error().message,
              HasSubstr(":1: tests.a: budget: one test may transfer up to "));
  options_.probe_limits.max_bitrate_bits_per_second = 10'000'000;
  options_.state_directory.clear();
  EXPECT_THAT(LoadText(kBudget).error().message,
              EndsWith(":1: tests.a: budget: expected --state.directory to be set as well"));
  EXPECT_TRUE(LoadText("tests: [{name: a, target: h, every: 1m}]"));
}

TEST_F(ModuleStoreTest, AnOwnTestObeysTheFlags) {
  constexpr char kTest[] = "tests: [{name: a, target: 192.0.2.1, every: 1m}]";
  ASSERT_TRUE(LoadText(kTest));
  ASSERT_TRUE(options_.target_policy.AddPort("5202"));
  EXPECT_THAT(LoadText(kTest).error().message,
              EndsWith(":1: tests.a: " + TargetPolicy::ForbiddenPortText(5201)));
  options_.target_policy = {};
  ASSERT_TRUE(options_.target_policy.AddDeniedTarget("192.0.2.0/24"));
  EXPECT_FALSE(LoadText(kTest));
  options_.target_policy = {};
  options_.requires_module = true;
  EXPECT_THAT(LoadText(kTest).error().message,
              EndsWith("'module' parameter must be specified (--probe.require-module)"));
}

TEST_F(ModuleStoreTest, ComparesOwnTestsWithTheInstalledIperf3) {
  ASSERT_TRUE(LoadText("modules: {m: {parallel: 2}}\ntests: [{name: a, target: h, every: 1m}]"));
  iperf3_ = Iperf3Description{.version = "3.12", .capabilities = {}, .program = {}};
  EXPECT_TRUE(config_->Check());
  EXPECT_TRUE(config_->file().Reload(config_->Reader()()));
}

TEST_F(ModuleStoreTest, AcceptsTheBounds) {
  const std::string name(64, 'm');
  ASSERT_TRUE(
      LoadText("modules: {" + name + ": {timeout: 1.5s, retries: 100}, a: {timeout: 24h}}"));
  const auto& modules = config_->modules()->by_name;
  EXPECT_EQ(modules.at(name)->times.limit, std::chrono::milliseconds(1500));
  EXPECT_EQ(modules.at(name)->retries, 100U);
  EXPECT_EQ(modules.at("a")->times.limit, std::chrono::hours(24));
}

TEST_F(ModuleStoreTest, AModuleOnlyShortensTheTimeoutOfTheFlags) {
  options_.probe_times.limit = std::chrono::seconds(5);
  ASSERT_TRUE(LoadText("modules: {longer: {timeout: 20s}, none: {}, shorter: {timeout: 2s}}"));
  const auto& modules = config_->modules()->by_name;
  EXPECT_EQ(modules.at("longer")->times.limit, std::chrono::seconds(5));
  EXPECT_EQ(modules.at("none")->times.limit, std::chrono::seconds(5));
  EXPECT_EQ(modules.at("shorter")->times.limit, std::chrono::seconds(2));
}

TEST_F(ModuleStoreTest, ReadsAPasswordFromAFileOfWindows) {
  std::ofstream(directory_ / "password") << "kittens\r\n";
  std::filesystem::copy(kFiles / "server.pub", directory_.path());
  ASSERT_TRUE(
      LoadText("modules: {m: {auth: {username: u, password_file: password, rsa_public_key_file: "
               "server.pub}}}"));
  EXPECT_EQ(config_->modules()->by_name.at("m")->auth->credentials.password, "kittens");
}

TEST_F(ModuleStoreTest, DoesNotQuoteASecretThatStandsForItsFile) {
  for (const char* key : {"password_file", "rsa_public_key_file"}) {
    const Status loaded =
        LoadText("modules: {m: {auth: {" + std::string(key) + ": \"kittens\\n\"}}}");
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message,
                EndsWith(key + std::string(": expected the name of a file")));
  }
}

// Each file begins with "# LINE: REASON", where DIRECTORY stands for its directory.
TEST_F(ModuleStoreTest, RefusesEachMistake) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFiles / "bad")) {
    ++count;
    std::string expected;
    std::ifstream file(entry.path());
    std::getline(file, expected);
    ASSERT_THAT(expected, StartsWith("# "));
    if (const auto at = expected.find("DIRECTORY"); at != std::string::npos) {
      expected.replace(at, 9, entry.path().parent_path().string());
    }
    const Status loaded = Load(entry.path());
    ASSERT_FALSE(loaded) << entry.path();
    EXPECT_THAT(loaded.error().message,
                StartsWith(entry.path().string() + ":" + expected.substr(2)));
  }
  EXPECT_GE(count, 50);
}

TEST_F(ModuleStoreTest, ABadReloadKeepsTheModules) {
  ASSERT_TRUE(LoadText("modules: {a: {}}"));
  const auto before = config_->modules();
  std::ofstream(directory_ / "config.yml") << "modules: {a: {bytes: x}}";
  EXPECT_FALSE(config_->file().Reload(config_->Reader()()));
  EXPECT_EQ(config_->modules(), before);
  EXPECT_FALSE(config_->file().last_reload_successful());
  std::ofstream(directory_ / "config.yml") << "modules: {b: {}}";
  EXPECT_TRUE(config_->file().Reload(config_->Reader()()));
  EXPECT_TRUE(config_->modules()->by_name.contains("b"));
  // Whoever has the old ones keeps them.
  EXPECT_TRUE(before->by_name.contains("a"));
}

TEST_F(ModuleStoreTest, ThePageShowsTheLatestModules) {
  ASSERT_TRUE(LoadText("modules: {a: {}}"));
  EXPECT_THAT(*config_->page(), HasSubstr("  a:\n"));
  std::ofstream(directory_ / "config.yml") << "modules: {b: {}}";
  ASSERT_TRUE(config_->file().Reload(config_->Reader()()));
  EXPECT_THAT(*config_->page(), HasSubstr("  b:\n"));
}

TEST_F(ModuleStoreTest, ComparesTheModulesWithTheInstalledIperf3) {
  ASSERT_TRUE(LoadText("modules:\n  a:\n    mptcp: true"));
  EXPECT_TRUE(config_->Check());
  iperf3_ = Iperf3Description{.version = "3.12", .capabilities = {}, .program = {}};
  const Status checked = config_->Check();
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message,
              HasSubstr("config.yml:3: modules.a.mptcp: requires an iperf3 that supports --mptcp"));
  EXPECT_FALSE(config_->file().Reload(config_->Reader()()));
}

TEST_F(ModuleStoreTest, RefusesAuthenticationThatIperf3Lacks) {
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  iperf3_ = Iperf3Description{.version = "3.12", .capabilities = {}, .program = {}};
  const Status checked = config_->Check();
  ASSERT_FALSE(checked);
  EXPECT_THAT(
      checked.error().message,
      EndsWith(
          "good.yml:6: modules.lte_down.auth: requires an iperf3 with authentication (built with "
          "OpenSSL); the installed one is version \"3.12\""));
}

TEST_F(ModuleStoreTest, ShowsWhatIsInEffect) {
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  const std::string page = FormatModules(*config_->modules());
  for (const char* line :
       {"modules:\n", "  lte_down:\n", "    bytes: 20M\n", "    reverse_mode: true\n",
        "    parallel: 1\n", "    override: [bytes, bind_address]\n", "      bytes: 50M\n",
        "    timeout: 20s\n", "    allow_targets: [\"*.example.org\", 192.0.2.0/24]\n",
        "      password_file: probe.password\n", "      pkcs1_padding: true\n", "  empty:\n"}) {
    EXPECT_THAT(page, HasSubstr(line));
  }
  EXPECT_THAT(page, Not(HasSubstr("kittens")));
  EXPECT_THAT(page, Not(HasSubstr("PUBLIC KEY")));
}

TEST_F(ModuleStoreTest, ThePageNamesWhatIsNotSetAndTheLimitsOfTheFlags) {
  options_.probe_limits.max_bitrate_bits_per_second = 25'000'000;
  ASSERT_TRUE(LoadText("modules: {m: {}}"));
  const std::string page = FormatModules(*config_->modules());
  const std::string module = page.substr(page.find("  m:"));
  EXPECT_THAT(module, HasSubstr("\n# m, not set: port, ip_version, bytes, bitrate, "));
  EXPECT_THAT(module, HasSubstr("\n# m, limited by: --probe.max-bitrate=25M, "));
  EXPECT_TRUE(LoadText(page)) << page;
}

TEST_F(ModuleStoreTest, ThePageOmitsTheDefaultModuleIfRequestsMustNameAnother) {
  options_.requires_module = true;
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  EXPECT_THAT(FormatModules(*config_->modules()), Not(HasSubstr("default:")));
}

TEST_F(ModuleStoreTest, FindsModulesWithCredentialsForEveryTarget) {
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  EXPECT_THAT(ModulesWithOpenAuth(*config_->modules()), testing::IsEmpty());
  for (const char* file : {"probe.password", "server.pub"}) {
    std::filesystem::copy(kFiles / file, directory_ / file);
  }
  ASSERT_TRUE(
      LoadText("modules: {m: {auth: {username: u, password_file: probe.password, "
               "rsa_public_key_file: server.pub}}}"));
  EXPECT_THAT(ModulesWithOpenAuth(*config_->modules()), testing::ElementsAre("m"));
}

TEST_F(ModuleStoreTest, NamesTheLineWithATab) {
  const Status loaded = LoadText("modules:\n  a:\n\tperiod: 1s\n");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, EndsWith("(line 3 is indented with a tab, where YAML takes "
                                               "only spaces)"));
}

// It may be the password itself.
TEST_F(ModuleStoreTest, DoesNotShowTheNameOfAPasswordFile) {
  const Status loaded = LoadText(
      "modules: {m: {auth: {username: u, password_file: kittens, "
      "rsa_public_key_file: server.pub}}}");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, Not(HasSubstr("kittens")));
}

TEST_F(ModuleStoreTest, ThePageShowsADefaultNoLongerThanItsMaximum) {
  ASSERT_TRUE(LoadText("modules: {m: {override: [period], max: {period: 3s}}}"));
  const std::string page = FormatModules(*config_->modules());
  EXPECT_THAT(page.substr(page.find("  m:")), HasSubstr("    period: 3s\n"));
  EXPECT_TRUE(LoadText(page));
}

TEST_F(ModuleStoreTest, ThePageIsAConfigurationFile) {
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  const std::string page = FormatModules(*config_->modules());
  for (const char* file : {"probe.password", "server.pub"}) {
    std::filesystem::copy(kFiles / file, directory_ / file);
  }
  const Status loaded = LoadText(page);
  ASSERT_TRUE(loaded) << loaded.error().message << page;
  EXPECT_EQ(FormatModules(*config_->modules()), page);
}

}  // namespace
}  // namespace iperf3_exporter
