#include "supervisor/budget/budget_ledger.h"

#include <event2/event.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using ReservationId = BudgetLedger::ReservationId;

OwnTestPointer MakeTest(const std::string& name, std::uint64_t budget_bytes = 1000) {
  OwnTest test;
  test.name = name;
  if (budget_bytes != 0) test.budget = {.bytes = budget_bytes, .per = std::chrono::hours(24)};
  return std::make_shared<const OwnTest>(test);
}

class BudgetLedgerTest : public testing::Test {
 protected:
  BudgetLedgerTest() { Open(); }

  void Open() {
    ledger_.reset();
    // A task that has begun keeps the directory until it ends.
    auto directory = StateDirectory::Open(temporary_.path());
    LoopUntil([&] {
      if (!directory) directory = StateDirectory::Open(temporary_.path());
      return directory.has_value();
    });
    ledger_ = std::make_unique<BudgetLedger>(
        base_.get(), std::move(*directory),
        [this](const std::string& test) { changes_.push_back(test); });
  }
  template <typename Condition>
  void LoopUntil(Condition condition) {
    const Deadline limit = Clock::now() + std::chrono::seconds(30);
    Timer tick(base_.get(), [this] { ::event_base_loopbreak(base_.get()); });
    while (!condition()) {
      ASSERT_LT(Clock::now(), limit);
      tick.Start(std::chrono::milliseconds(1));
      ::event_base_dispatch(base_.get());
    }
  }
  std::optional<ReservationId> Reserve(const OwnTestPointer& test, std::uint64_t bytes) {
    std::optional<std::optional<ReservationId>> result;
    ledger_->Reserve(test, bytes, [&](std::optional<ReservationId> id) { result = id; });
    EXPECT_FALSE(result) << "it blocks the loop";
    LoopUntil([&] { return result.has_value(); });
    return *result;
  }
  [[nodiscard]] std::uint64_t Used(const std::string& test) const {
    const auto state = ledger_->StateOf(test);
    return state ? state->used_bytes : UINT64_MAX;
  }

  TemporaryDirectory temporary_;
  EventBase base_ = CreateEventBase();
  std::vector<std::string> changes_;
  std::unique_ptr<BudgetLedger> ledger_;
};

TEST_F(BudgetLedgerTest, ReservesAndSettles) {
  const auto test = MakeTest("uplink");
  const auto id = Reserve(test, 800);
  ASSERT_TRUE(id);
  EXPECT_EQ(Used("uplink"), 800U);
  EXPECT_EQ(ledger_->StateOf("uplink")->left_bytes, 200U);
  EXPECT_FALSE(Reserve(test, 300));
  ledger_->Settle(*id, Traffic{.upload_bytes = 100, .download_bytes = 20});
  LoopUntil([&] { return Used("uplink") == 120; });
  EXPECT_TRUE(Reserve(test, 300));
  EXPECT_EQ(Used("uplink"), 420U);
  EXPECT_THAT(changes_, ElementsAre("uplink", "uplink", "uplink", "uplink"));
  // Once only.
  ledger_->Settle(*id, Traffic{});
  EXPECT_TRUE(Reserve(test, 1));
  EXPECT_EQ(Used("uplink"), 421U);
}

TEST_F(BudgetLedgerTest, LoadsWhatAnEarlierProcessUsed) {
  std::vector<OwnTestPointer> tests = {MakeTest("free", 0)};
  for (int i = 0; i < 350; ++i) tests.push_back(MakeTest("test" + std::to_string(i)));
  ASSERT_TRUE(Reserve(tests[1], 300));
  Open();
  EXPECT_FALSE(ledger_->StateOf("test0"));
  changes_.clear();
  ledger_->Load(tests);
  EXPECT_THAT(changes_, IsEmpty());
  LoopUntil([&] { return changes_.size() == 350; });
  EXPECT_EQ(Used("test0"), 300U);
  EXPECT_EQ(Used("test349"), 0U);
  EXPECT_FALSE(ledger_->StateOf("free"));
}

TEST_F(BudgetLedgerTest, WritesAtItsEndWhatHasEnded) {
  const auto test = MakeTest("uplink");
  const auto id = Reserve(test, 800);
  ASSERT_TRUE(id);
  ledger_->Settle(*id, Traffic{.upload_bytes = 100});
  Open();
  ledger_->Load({test});
  LoopUntil([&] { return ledger_->StateOf("uplink").has_value(); });
  EXPECT_EQ(Used("uplink"), 100U);
}

TEST_F(BudgetLedgerTest, ATestThatStillRunsAtItsEndCountsWithItsWorstCase) {
  const auto test = MakeTest("uplink");
  ASSERT_TRUE(Reserve(test, 800));
  Open();
  ledger_->Load({test});
  LoopUntil([&] { return ledger_->StateOf("uplink").has_value(); });
  EXPECT_EQ(Used("uplink"), 800U);
}

TEST_F(BudgetLedgerTest, UnusableStateStopsItsTestOnly) {
  std::ofstream(temporary_ / "bad.budget") << "garbage";
  ledger_->Load({MakeTest("bad"), MakeTest("good")});
  LoopUntil([&] { return changes_.size() == 2; });
  EXPECT_FALSE(ledger_->StateOf("bad"));
  EXPECT_TRUE(ledger_->StateOf("good"));
  EXPECT_FALSE(Reserve(MakeTest("bad"), 1));
  EXPECT_TRUE(Reserve(MakeTest("good"), 1));
  std::filesystem::remove(temporary_ / "bad.budget");
  EXPECT_TRUE(Reserve(MakeTest("bad"), 1));
}

TEST_F(BudgetLedgerTest, AnUnknownTransferCountsAsTheWorstCase) {
  const auto id = Reserve(MakeTest("uplink"), 800);
  ASSERT_TRUE(id);
  changes_.clear();
  ledger_->Settle(*id, std::nullopt);
  LoopUntil([&] { return !changes_.empty(); });
  EXPECT_EQ(Used("uplink"), 800U);
}

}  // namespace
}  // namespace iperf3_exporter
