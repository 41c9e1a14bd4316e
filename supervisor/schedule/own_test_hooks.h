// Callbacks of OwnTests: whether a test may start, asked before it is queued, and how it ended.
// Loop thread only.
#pragma once

#include <functional>
#include <optional>

#include "common/iperf3/traffic.h"
#include "supervisor/budget/budget_book.h"
#include "supervisor/config/own_test.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/results/own_test_result.h"

namespace iperf3_exporter {

using ReservationId = BudgetBook::ReservationId;

struct OwnTestHooks {
  // A test with a budget is due. Calls `decided` once, at once or later: with a reservation of its
  // worst case, or with nullopt if it must not start. Both references are valid only during the
  // call.
  std::function<void(const OwnTestPointer& test, const ProbeRequest& request,
                     std::function<void(std::optional<ReservationId>)> decided)>
      reserve;
  // The test of that reservation has ended, or will never start. nullopt: what it transferred is
  // unknown.
  std::function<void(ReservationId reservation, const std::optional<Traffic>& traffic)> settle;
  // What is used and left of the budget of a test that has one; nullopt: unknown. Must not block.
  std::function<std::optional<OwnTestBudgetState>(const OwnTest& test)> budget_state;
};

}  // namespace iperf3_exporter
