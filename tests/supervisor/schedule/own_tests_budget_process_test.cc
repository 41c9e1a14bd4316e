// Own tests with budgets: hooks, the dispatcher and rogue workers.
#include <algorithm>

#include "supervisor/schedule/own_tests.h"
#include "tests/supervisor/probe/dispatcher_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

class OwnTestsBudgetTest : public DispatcherFixture {
 protected:
  // One test of `target` that starts all the time, with hooks that record what they are asked.
  void Configure(const std::string& target, bool has_budget = true) {
    auto modules = ModulesOfFlags(options_);
    OwnTest test{.name = "uplink", .target = target, .every = every_};
    if (has_budget) test.budget = {.bytes = 1000, .per = std::chrono::hours(1)};
    modules.own_tests.push_back(std::make_shared<const OwnTest>(test));
    if (!tests_) {
      options_.probe_times.limit = std::chrono::seconds(30);
      OwnTestHooks hooks;
      hooks.reserve = [this](const OwnTestPointer&, const ProbeRequest& request,
                             std::function<void(std::optional<ReservationId>)> decided) {
        EXPECT_TRUE(request.has_budget);
        ++reservations_;
        decided_ = std::move(decided);
      };
      hooks.settle = [this](ReservationId id, const std::optional<Traffic>& traffic) {
        settled_.emplace_back(id, traffic);
      };
      hooks.budget_state = [this](const OwnTest&) { return state_; };
      tests_ = std::make_unique<OwnTests>(
          OwnTests::Context{.base = base_.get(),
                            .options = options_,
                            .dispatcher = *dispatcher_,
                            .iperf3 = [this]() -> const Iperf3Description& { return iperf3_; },
                            .wall_clock = [this] { return WallNow(); }},
          std::move(hooks));
    }
    tests_->Configure(std::make_shared<const Modules>(std::move(modules)));
  }
  void AwaitReservation() {
    LoopUntil([this] { return static_cast<bool>(decided_); });
  }
  void Decide(std::optional<ReservationId> reservation) {
    std::exchange(decided_, nullptr)(reservation);
  }
  [[nodiscard]] WallTime WallNow() const { return std::chrono::system_clock::now() + clock_step_; }
  [[nodiscard]] OwnTestResult Result() const { return *tests_->Snapshot().at(0); }
  [[nodiscard]] std::uint64_t Skipped(SkipReason reason) const {
    return Result().skipped[static_cast<std::size_t>(reason)];
  }

  Iperf3Description iperf3_{.version = "3.12"};
  std::chrono::nanoseconds every_ = milliseconds(1500);
  std::chrono::hours clock_step_{0};
  std::function<void(std::optional<ReservationId>)> decided_;
  int reservations_ = 0;
  std::vector<std::pair<ReservationId, std::optional<Traffic>>> settled_;
  std::optional<OwnTestBudgetState> state_;
  std::unique_ptr<OwnTests> tests_;
};

TEST_F(OwnTestsBudgetTest, StartsAfterTheReservationAndSettlesWithTheTraffic) {
  StartWith("busy");
  Configure(kGood);
  AwaitReservation();
  EXPECT_EQ(Result().successes, 0U);
  Decide(7);
  LoopUntil([this] { return Result().successes == 1; });
  ASSERT_EQ(settled_.size(), 1U);
  EXPECT_EQ(settled_[0].first, 7U);
  EXPECT_EQ(settled_[0].second, (Traffic{1000, 1000}));
  EXPECT_EQ(Result().uploaded_bytes, 1000U);
  EXPECT_EQ(Result().downloaded_bytes, 1000U);
}

TEST_F(OwnTestsBudgetTest, TheNextRunFollowsAWallClockThatWasSet) {
  StartWith("busy");
  every_ = std::chrono::hours(1);
  Configure(kGood, /*has_budget=*/false);
  const auto is_within_an_hour = [this] {
    const auto wait = Result().next_run.value() - WallNow();
    return wait > milliseconds(0) && wait <= every_;
  };
  EXPECT_TRUE(is_within_an_hour());
  for (const int hours : {10, -400'000}) {
    clock_step_ = std::chrono::hours(hours);
    LoopUntil(is_within_an_hour);
    EXPECT_EQ(Result().successes + Result().failures, 0U);
  }
}

TEST_F(OwnTestsBudgetTest, SkipsWhatIsNotReserved) {
  StartWith("busy");
  Configure(kGood);
  AwaitReservation();
  // The next start is due before the decision.
  LoopUntil([this] { return Skipped(SkipReason::kLock) > 0; });
  EXPECT_EQ(reservations_, 1);
  Decide(std::nullopt);
  EXPECT_EQ(Skipped(SkipReason::kBudget), 1U);
  EXPECT_EQ(Result().successes + Result().failures, 0U);
  AwaitReservation();
  EXPECT_TRUE(settled_.empty());
}

TEST_F(OwnTestsBudgetTest, ATestThatIsDroppedWhileItRunsIsSettledWhenItsWorkerHasEndedIt) {
  StartWith("silence");
  Configure(kGoodAfterCancel);
  AwaitReservation();
  Decide(7);
  AwaitCounts(1, 0);
  tests_->Configure(std::make_shared<const Modules>(ModulesOfFlags(options_)));
  EXPECT_TRUE(tests_->Snapshot().empty());
  LoopUntil([this] { return !settled_.empty(); });
  EXPECT_EQ(settled_[0].second, (Traffic{1000, 1000}));
}

TEST_F(OwnTestsBudgetTest, AReservationForATestThatIsGoneIsGivenBack) {
  StartWith("busy");
  Configure(kGood);
  AwaitReservation();
  tests_->Configure(std::make_shared<const Modules>(ModulesOfFlags(options_)));
  Decide(7);
  ASSERT_EQ(settled_.size(), 1U);
  EXPECT_EQ(settled_[0].second, Traffic{});
  EXPECT_EQ(dispatcher_->CountRunning() + dispatcher_->CountWaiting(), 0U);
}

TEST_F(OwnTestsBudgetTest, AnUnknownTransferIsSettledAsUnknown) {
  StartWith("crash");
  Configure(kMisbehaves);
  AwaitReservation();
  Decide(7);
  LoopUntil([this] { return !settled_.empty(); });
  EXPECT_EQ(settled_[0].second, std::nullopt);
  LoopUntil([this] { return Result().failures == 1; });
  EXPECT_EQ(Result().uploaded_bytes, 0U);
}

TEST_F(OwnTestsBudgetTest, CountsTheTrafficWithoutABudget) {
  StartWith("busy");
  Configure(kGood, false);
  LoopUntil([this] { return Result().successes == 1; });
  EXPECT_EQ(Result().uploaded_bytes, 1000U);
  EXPECT_EQ(reservations_, 0);
  EXPECT_TRUE(settled_.empty());
  EXPECT_FALSE(Result().budget);
}

TEST_F(OwnTestsBudgetTest, ShowsAChangeOfTheBudget) {
  StartWith("busy");
  Configure(kGood);
  EXPECT_FALSE(Result().budget);
  state_ = OwnTestBudgetState{.used_bytes = 3, .left_bytes = 997};
  EXPECT_FALSE(Result().budget);
  tests_->OnBudgetChange("other");
  EXPECT_FALSE(Result().budget);
  tests_->OnBudgetChange("uplink");
  ASSERT_TRUE(Result().budget);
  EXPECT_EQ(Result().budget->left_bytes, 997U);
}

}  // namespace
}  // namespace iperf3_exporter
