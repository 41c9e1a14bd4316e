#include "supervisor/schedule/budget_hooks.h"

#include <utility>

namespace iperf3_exporter {

OwnTestHooks MakeBudgetHooks(const std::unique_ptr<BudgetLedger>& ledger) {
  OwnTestHooks hooks;
  hooks.reserve = [&ledger](const OwnTestPointer& test, const ProbeRequest& request,
                            std::function<void(std::optional<ReservationId>)> decided) {
    const auto worst_case = WorstCaseBytes(request.test);
    if (!ledger || !worst_case) return decided(std::nullopt);
    ledger->Reserve(test, *worst_case, std::move(decided));
  };
  hooks.settle = [&ledger](ReservationId reservation, const std::optional<Traffic>& traffic) {
    ledger->Settle(reservation, traffic);
  };
  hooks.budget_state = [&ledger](const OwnTest& test) {
    return ledger ? ledger->StateOf(test.name) : std::nullopt;
  };
  return hooks;
}

}  // namespace iperf3_exporter
