// The hooks that let own tests start only within their budgets.
#pragma once

#include <memory>

#include "supervisor/budget/budget_ledger.h"
#include "supervisor/schedule/own_test_hooks.h"

namespace iperf3_exporter {

// `ledger` may be set later; until then, no test with a budget starts. It must outlive the hooks.
[[nodiscard]] OwnTestHooks MakeBudgetHooks(const std::unique_ptr<BudgetLedger>& ledger);

}  // namespace iperf3_exporter
