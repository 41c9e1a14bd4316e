// Whether a test can run within its budget.
#pragma once

#include "common/error.h"
#include "common/iperf3/test_options.h"
#include "supervisor/config/own_test.h"

namespace iperf3_exporter {

// The error says what is wrong with a budget that no such test could ever use: the test has no
// worst case, or the worst case exceeds the budget. Pure.
[[nodiscard]] Status CheckBudget(const OwnTestBudget& budget, const TestOptions& test);

}  // namespace iperf3_exporter
