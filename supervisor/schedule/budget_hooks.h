// Own tests start within their budgets.
#pragma once

#include <memory>

#include "supervisor/budget/budget_ledger.h"
#include "supervisor/schedule/own_test_hooks.h"

namespace iperf3_exporter {

// Without a ledger, no test with a budget starts. The reference must outlive the hooks.
[[nodiscard]] OwnTestHooks MakeBudgetHooks(const std::unique_ptr<BudgetLedger>& ledger);

}  // namespace iperf3_exporter
