#include "supervisor/config/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace iperf3_exporter {
namespace {

class ModuleTest : public testing::Test {
 protected:
  // `rule` restricts the targets of the module, which has credentials; empty: any target.
  void Add(const std::string& name, const std::string& rule) {
    Module module = ModuleOfFlags(options_);
    module.auth.emplace();
    module.target_policy.AddAllowList(name);
    if (!rule.empty()) {
      ASSERT_TRUE(module.target_policy.AddTarget(rule));
    }
    modules_.by_name[name] = std::make_shared<const Module>(module);
  }

  Options options_;
  Modules modules_ = ModulesOfFlags(options_);
};

TEST_F(ModuleTest, EveryTargetIsAllowedIfOneKindOfRequestMayHaveAny) {
  EXPECT_TRUE(AllowsEveryTarget(modules_));
  Add("a", "10.0.0.0/8");
  EXPECT_TRUE(AllowsEveryTarget(modules_)) << "without a module";
  modules_.requires_module = true;
  EXPECT_FALSE(AllowsEveryTarget(modules_));
  Add("b", "");
  EXPECT_TRUE(AllowsEveryTarget(modules_)) << "with the module b";
}

TEST_F(ModuleTest, NoRequestGetsDefaultIfAModuleIsRequired) {
  Add("default", "");
  Add("a", "10.0.0.0/8");
  EXPECT_TRUE(AllowsEveryTarget(modules_));
  EXPECT_THAT(ModulesWithOpenAuth(modules_), testing::ElementsAre("default"));
  modules_.requires_module = true;
  EXPECT_FALSE(AllowsEveryTarget(modules_));
  EXPECT_THAT(ModulesWithOpenAuth(modules_), testing::IsEmpty());
}

TEST_F(ModuleTest, NotEveryTargetIsAllowedIfTheFlagsRestrictThem) {
  ASSERT_TRUE(options_.target_policy.AddDeniedTarget("10.0.0.0/8"));
  modules_ = ModulesOfFlags(options_);
  EXPECT_FALSE(AllowsEveryTarget(modules_));
  Add("b", "");
  EXPECT_FALSE(AllowsEveryTarget(modules_));
}

}  // namespace
}  // namespace iperf3_exporter
