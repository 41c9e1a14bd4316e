// Who decides, before the queue and the lock do, whether one of the exporter's own tests may start,
// and hears how it ended. Loop thread only.
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
  // No worker runs the test of that reservation, or will. nullopt: it is not known what it has
  // transferred.
  std::function<void(ReservationId reservation, const std::optional<Traffic>& traffic)> settle;
  // For the snapshots of a test with a budget. Must not block.
  std::function<std::optional<OwnTestBudgetState>(const OwnTest& test)> budget_state;
};

}  // namespace iperf3_exporter
