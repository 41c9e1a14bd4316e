#include "supervisor/auth/web_security.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>

#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {
namespace {

using std::chrono::hours;

class WebSecurityTest : public testing::Test {
 protected:
  void Apply(std::chrono::nanoseconds interval, int burst) {
    WebConfig config;
    config.rate_interval = interval;
    config.rate_burst = burst;
    ASSERT_TRUE(security_.Apply(config));
  }
  // Whether a request is within the rate.
  bool Admits() {
    std::optional<AuthOutcome> outcome;
    security_.Authenticate(
        std::nullopt, "192.0.2.1", [] { return true; },
        [&](AuthOutcome given) { outcome = given; });
    return outcome == AuthOutcome::kAccepted;
  }

  EventBase base_ = CreateEventBase();
  WebSecurity security_{base_.get()};
};

TEST_F(WebSecurityTest, AReloadOfAnUnchangedLimitGivesNoNewTokens) {
  Apply(hours(1), 1);
  EXPECT_TRUE(Admits());
  EXPECT_FALSE(Admits());
  Apply(hours(1), 1);
  EXPECT_FALSE(Admits());
}

TEST_F(WebSecurityTest, AChangedLimitAppliesAtOnce) {
  Apply(hours(1), 1);
  EXPECT_TRUE(Admits());
  Apply(hours(1), 2);
  EXPECT_TRUE(Admits());
  EXPECT_TRUE(Admits());
  EXPECT_FALSE(Admits());
  Apply(hours(2), 2);
  EXPECT_TRUE(Admits());
  Apply(hours(0), 2);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Admits());
}

}  // namespace
}  // namespace iperf3_exporter
