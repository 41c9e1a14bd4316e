// Who decides, before the queue and the lock do, whether one of the exporter's own tests may start,
// and hears how it ended. Loop thread only.
#pragma once

#include <functional>
#include <optional>

#include "supervisor/config/own_test.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/results/own_test_result.h"
#include "supervisor/results/probe_report.h"

namespace iperf3_exporter {

struct OwnTestHooks {
  // A test with a budget is due. Calls `decided` once, at once or later: true after its worst case
  // was reserved, false if it must not start. Both references are valid only during the call.
  std::function<void(const OwnTestPointer& test, const ProbeRequest& request,
                     std::function<void(bool)> decided)>
      reserve;
  // The run for which `decided(true)` was called has ended, with a report, or with a refusal if no
  // test was tried. nullptr: it was cancelled, and what it transferred is unknown.
  std::function<void(const OwnTestPointer& test, const ProbeOutcome* outcome)> settle;
  // For the snapshots of a test with a budget. Must not block.
  std::function<std::optional<OwnTestBudgetState>(const OwnTest& test)> budget_state;
};

}  // namespace iperf3_exporter
