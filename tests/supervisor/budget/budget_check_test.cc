#include "supervisor/budget/budget_check.h"

#include <gtest/gtest.h>

#include "common/iperf3/traffic.h"

namespace iperf3_exporter {
namespace {

std::string ErrorOf(std::uint64_t budget_bytes, const TestOptions& test) {
  const Status status = CheckBudget({.bytes = budget_bytes, .per = std::chrono::hours(1)}, test);
  return status ? std::string() : status.error().message;
}

TEST(BudgetCheckTest, RefusesATestWithoutAWorstCase) {
  EXPECT_EQ(ErrorOf(1'000'000'000, {}),
            "nothing limits what a test transfers, expected in its module a bitrate above 0 and "
            "without a burst, or bytes without omit");
  EXPECT_EQ(ErrorOf(1'000'000'000, {.bitrate_bits_per_second = 1'000'000}), "");
  EXPECT_EQ(ErrorOf(1'000'000'000, {.bytes = 1'000'000}), "");
}

TEST(BudgetCheckTest, RefusesABudgetThatNoTestFitsIn) {
  const TestOptions test{.bitrate_bits_per_second = 1'000'000};
  const std::uint64_t worst_case = WorstCaseBytes(test).value();
  EXPECT_EQ(ErrorOf(worst_case, test), "");
  EXPECT_EQ(ErrorOf(worst_case - 1, test),
            "one test may transfer up to " + std::to_string(worst_case) +
                " bytes, expected at least that in the budget, got " +
                std::to_string(worst_case - 1));
}

}  // namespace
}  // namespace iperf3_exporter
