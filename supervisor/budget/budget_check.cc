#include "supervisor/budget/budget_check.h"

#include <string>

#include "common/iperf3/traffic.h"

namespace iperf3_exporter {

Status CheckBudget(const OwnTestBudget& budget, const TestOptions& test) {
  const auto worst_case = WorstCaseBytes(test);
  if (!worst_case) {
    return MakeError(
        "nothing limits what a test transfers, expected in its module a bitrate above 0 and "
        "without "
        "a burst, or bytes without omit");
  }
  if (*worst_case > budget.bytes) {
    return MakeError("one test may transfer up to " + std::to_string(*worst_case) +
                     " bytes, expected at least that in the budget, got " +
                     std::to_string(budget.bytes));
  }
  return {};
}

}  // namespace iperf3_exporter
