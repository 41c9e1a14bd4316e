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
  EXPECT_FALSE(config_->file().Reload(config_->file().Read()));
  EXPECT_EQ(config_->modules(), before);
  EXPECT_FALSE(config_->file().last_reload_successful());
  std::ofstream(directory_ / "config.yml") << "modules: {b: {}}";
  EXPECT_TRUE(config_->file().Reload(config_->file().Read()));
  EXPECT_TRUE(config_->modules()->by_name.contains("b"));
  // Whoever has the old ones keeps them.
  EXPECT_TRUE(before->by_name.contains("a"));
}

TEST_F(ModuleStoreTest, ComparesTheModulesWithTheInstalledIperf3) {
  ASSERT_TRUE(LoadText("modules:\n  a:\n    mptcp: true"));
  EXPECT_TRUE(config_->Check());
  iperf3_ = Iperf3Description{.version = "3.12", .capabilities = {}, .program = {}};
  const Status checked = config_->Check();
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message,
              HasSubstr("config.yml:3: modules.a.mptcp: requires an iperf3 that supports --mptcp"));
  EXPECT_FALSE(config_->file().Reload(config_->file().Read()));
}

TEST_F(ModuleStoreTest, RefusesAuthenticationThatIperf3Lacks) {
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  iperf3_ = Iperf3Description{.version = "3.12", .capabilities = {}, .program = {}};
  const Status checked = config_->Check();
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message,
              EndsWith("modules.lte_down.auth: requires an iperf3 with authentication (built with "
                       "OpenSSL); the installed one is version \"3.12\""));
}

TEST_F(ModuleStoreTest, ShowsWhatIsInEffect) {
  ASSERT_TRUE(Load(kFiles / "good.yml"));
  const std::string page = FormatModules(*config_->modules());
  for (const char* line :
       {"modules:\n", "  lte_down:\n", "    bytes: 20M\n", "    reverse_mode: true\n",
        "    parallel: 1\n", "    override: [bytes, bind_address]\n", "      bytes: 50M\n",
        "    timeout: 20s\n", "      password_file: probe.password\n", "  empty:\n"}) {
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
