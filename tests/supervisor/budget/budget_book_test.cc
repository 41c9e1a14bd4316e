#include "supervisor/budget/budget_book.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;
using testing::HasSubstr;

constexpr char kTest[] = "uplink";
const OwnTestBudget kBudget{.bytes = 1000, .per = hours(24)};

class BudgetBookTest : public testing::Test {
 protected:
  BudgetBookTest() { Open(); }

  // As after a restart of the exporter.
  void Open() {
    book_.reset();
    book_ = std::make_unique<BudgetBook>(StateDirectory::Open(temporary_.path()).value(),
                                         [this] { return now_; });
  }
  void Pass(nanoseconds time) {
    now_.boot += time;
    now_.wall += time;
  }
  bool Reserve(std::uint64_t id, std::uint64_t bytes) {
    return book_->Reserve(id, kTest, kBudget, bytes).value().is_reserved;
  }
  std::uint64_t Used() { return book_->Look(kTest, kBudget).value().used_bytes; }
  // On the disk, for an exporter that is started now.
  [[nodiscard]] std::uint64_t Stored() const {
    std::ifstream in(File());
    std::stringstream text;
    text << in.rdbuf();
    return BudgetState::Parse(text.str(), kTest, now_).value().used_bytes();
  }
  [[nodiscard]] std::string File() const { return temporary_ / "uplink.budget"; }

  TemporaryDirectory temporary_;
  ClockReading now_{.boot = hours(1), .wall = hours(24 * 365 * 56)};
  std::unique_ptr<BudgetBook> book_;
};

TEST_F(BudgetBookTest, AReservationIsOnTheDiskBeforeTheTest) {
  EXPECT_EQ(Used(), 0U);
  EXPECT_FALSE(std::filesystem::exists(File()));
  ASSERT_TRUE(Reserve(1, 400));
  EXPECT_EQ(Stored(), 400U);
  const auto state = book_->Settle(1, 150).value();
  EXPECT_EQ(state.used_bytes, 150U);
  EXPECT_EQ(state.left_bytes, 850U);
  EXPECT_EQ(Stored(), 150U);
}

TEST_F(BudgetBookTest, RefusesWhatExceedsWhatIsLeft) {
  EXPECT_FALSE(Reserve(1, 1001));
  EXPECT_TRUE(Reserve(2, 600));
  EXPECT_FALSE(Reserve(3, 401));
  EXPECT_TRUE(Reserve(4, 400));
  EXPECT_FALSE(Reserve(5, 1));
  (void)book_->Settle(2, 500).value();
  EXPECT_TRUE(Reserve(6, 100));
  EXPECT_EQ(book_->Look(kTest, kBudget).value().left_bytes, 0U);
  // The budget was reduced since.
  const OwnTestBudget less{.bytes = 500, .per = kBudget.per};
  EXPECT_EQ(book_->Look(kTest, less).value().left_bytes, 0U);
  EXPECT_EQ(book_->Look(kTest, less).value().used_bytes, 1000U);
  // Another test has its own.
  EXPECT_TRUE(book_->Reserve(7, "other", kBudget, 1000).value().is_reserved);
}

TEST_F(BudgetBookTest, AnUnknownTransferCountsAsTheWorstCase) {
  ASSERT_TRUE(Reserve(1, 400));
  EXPECT_EQ(book_->Settle(1, std::nullopt).value().used_bytes, 400U);
  EXPECT_EQ(Stored(), 400U);
}

TEST_F(BudgetBookTest, SettlesOnce) {
  ASSERT_TRUE(Reserve(1, 400));
  EXPECT_TRUE(book_->Settle(1, 100));
  EXPECT_FALSE(book_->Settle(1, 100));
  EXPECT_FALSE(book_->Settle(2, 100));
  EXPECT_EQ(Used(), 100U);
}

TEST_F(BudgetBookTest, ACrashInMidTestCountsTheWorstCase) {
  ASSERT_TRUE(Reserve(1, 400));
  (void)book_->Settle(1, 100).value();
  ASSERT_TRUE(Reserve(2, 400));
  Open();
  EXPECT_EQ(Used(), 500U);
  Pass(hours(24));
  EXPECT_EQ(Used(), 0U);
}

TEST_F(BudgetBookTest, ATestThatOutlastsThePeriodOfItsReservationCounts) {
  ASSERT_TRUE(Reserve(1, 400));
  Pass(hours(25));
  EXPECT_EQ(book_->Settle(1, 100).value().used_bytes, 100U);
}

TEST_F(BudgetBookTest, MoreThanTheWorstCaseCountsToo) {
  ASSERT_TRUE(Reserve(1, 400));
  EXPECT_EQ(book_->Settle(1, 1400).value().left_bytes, 0U);
  EXPECT_EQ(Stored(), 1400U);
}

TEST_F(BudgetBookTest, UnusableStateIsNotABudgetThatBeginsAnew) {
  ASSERT_TRUE(Reserve(1, 400));
  const std::string good = [this] {
    std::ifstream in(File());
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }();
  const auto with = [&](const std::string& content) {
    std::ofstream(File(), std::ios::trunc) << content;
    Open();
    const auto result = book_->Reserve(2, kTest, kBudget, 1);
    return result ? "used " + std::to_string(result->state.used_bytes) : result.error().message;
  };
  EXPECT_THAT(with(""), HasSubstr("uplink.budget: not the state of a budget"));
  EXPECT_THAT(with(good.substr(0, good.size() / 2)), HasSubstr("uplink.budget: incomplete"));
  EXPECT_THAT(with(std::string(100, '\0')), HasSubstr("not the state of a budget"));
  std::string other = good;
  other.replace(other.find("uplink"), 6, "uplinx");
  EXPECT_THAT(with(other), HasSubstr("checksum"));
  std::filesystem::remove(File());
  std::filesystem::create_directory(File());
  Open();
  EXPECT_THAT(book_->Reserve(2, kTest, kBudget, 1).error().message, HasSubstr("not a file"));
  // An operator mends it: no restart is needed.
  std::filesystem::remove(File());
  std::ofstream(File(), std::ios::trunc) << good;
  EXPECT_EQ(Used(), 400U);
}

TEST_F(BudgetBookTest, DoesNotStartWhatItCannotWriteDown) {
  ASSERT_TRUE(Reserve(1, 400));
  std::filesystem::remove(File());
  std::filesystem::create_directory(File());
  const auto failed = book_->Reserve(2, kTest, kBudget, 100);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("uplink.budget: rename"));
  EXPECT_EQ(Used(), 400U);
  // What was transferred counts, and is written by the next that can.
  EXPECT_FALSE(book_->Settle(1, 700));
  EXPECT_EQ(Used(), 700U);
  std::filesystem::remove(File());
  ASSERT_TRUE(Reserve(3, 200));
  EXPECT_EQ(Stored(), 900U);
}

}  // namespace
}  // namespace iperf3_exporter
