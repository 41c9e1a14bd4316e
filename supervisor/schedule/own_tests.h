// Runs the exporter's own tests when they are due, through the queue of all probes, and keeps the
// result of each. Loop thread only. There may be thousands of tests, so each turn of the loop
// starts, or takes over from a new configuration, only some of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/iperf3/iperf3_description.h"
#include "common/limited_log.h"
#include "supervisor/config/module.h"
#include "supervisor/config/options.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/probe/probe_dispatcher.h"
#include "supervisor/results/own_test_result.h"
#include "supervisor/schedule/own_test_hooks.h"
#include "supervisor/schedule/schedule.h"

namespace iperf3_exporter {

class OwnTests {
 public:
  // What it refers to must outlive the OwnTests.
  struct Context {
    event_base* base;
    const Options& options;
    ProbeDispatcher& dispatcher;
    std::function<const Iperf3Description&()> iperf3;  // the installed one
    std::function<WallTime()> wall_clock = std::chrono::system_clock::now;
  };

  // A hook may be empty; without `reserve`, budgets are ignored.
  OwnTests(Context context, OwnTestHooks hooks);
  OwnTests(const OwnTests&) = delete;
  OwnTests& operator=(const OwnTests&) = delete;

  // From now on runs the tests of `modules`, which CheckOwnTests has accepted. A test whose
  // identity is unchanged keeps its results, and its start times if `every` and `jitter` are
  // unchanged, too. One that is gone is cancelled and forgotten. Takes several turns of the loop if
  // there are many tests; meanwhile none starts.
  void Configure(std::shared_ptr<const Modules> modules);

  // What the hook budget_state returns has changed for a test.
  void OnBudgetChange(const std::string& test);

  // Starts no more tests, and ignores Configure. Running tests continue.
  void Stop();

  // The latest results of all tests. Costs one copy of a pointer for each. If the wall clock was
  // set, the next runs in a later snapshot follow it.
  [[nodiscard]] std::vector<std::shared_ptr<const OwnTestResult>> Snapshot();

 private:
  using Id = Schedule::Id;

  struct Entry {
    OwnTestPointer test;
    OwnTestResult result;
    std::shared_ptr<const OwnTestResult> published;
    bool is_busy = false;                      // from its start, or its reservation, to its end
    std::optional<ProbeDispatcher::Id> probe;  // the running one
  };

  // Takes over the next tests of `modules_`.
  void ConfigureSome();
  void ConfigureOne(const OwnTestPointer& test);
  void WarnIfItNeverRuns(const Entry& entry);
  void Add(const OwnTestPointer& test, std::shared_ptr<const OwnTestIdentity> identity);
  // Its schedule, windows or budget may have changed.
  void Update(Id id, Entry& entry, const OwnTestPointer& test);
  void Drop(Id id);

  void StartTimer();
  void OnTimer();
  void OnDue(Id id, Entry& entry);
  void OnReserved(Id id, const ProbeRequest& request, std::optional<ReservationId> reservation);
  void Run(Id id, Entry& entry, ProbeRequest request, std::optional<ReservationId> reservation);
  void OnTraffic(Id id, std::optional<ReservationId> reservation,
                 const std::optional<Traffic>& traffic);
  void OnEnded(Id id, const ProbeOutcome& outcome);
  void OnReport(Entry& entry, const ProbeReport& report);
  void OnRefusal(Entry& entry, const Refusal& refusal);

  // A test that could not even be tried is a failed one, too.
  void Fail(Entry& entry, FailureReason reason, const std::string& text);
  void Skip(Entry& entry, SkipReason reason, const std::string& detail);
  // Makes the state of the test visible to Snapshot.
  void Publish(Id id, Entry& entry);
  [[nodiscard]] Now CurrentTime() const;
  [[nodiscard]] std::optional<WallTime> NextRun(Id id, const Entry& entry) const;
  [[nodiscard]] StartTimes StartTimesOf(const OwnTest& test) const;

  const Context context_;
  const OwnTestHooks hooks_;
  const std::string host_;
  std::shared_ptr<const Modules> modules_;
  Schedule schedule_;
  std::map<Id, Entry> entries_;
  std::map<std::string, Id, std::less<>> ids_;  // by name
  // While a configuration is taken over: the earlier tests that have not been found in it yet, and
  // how many of its tests have been taken over.
  std::map<std::string, Id, std::less<>> old_ids_;
  std::size_t configured_ = 0;
  Id last_id_ = 0;
  bool stopped_ = false;
  std::chrono::nanoseconds clock_offset_{0};  // of the wall clock when the next runs were computed
  LimitedLog skips_{LogLevel::kWarn, "own test skipped"};
  LimitedLog failures_{LogLevel::kWarn, "own test failed"};
  LimitedLog missed_{LogLevel::kWarn, "start of an own test missed"};
  LimitedLog never_{LogLevel::kWarn, "own test never runs"};
  Timer timer_;            // the next start
  Timer configure_timer_;  // the next turn of the loop
};

}  // namespace iperf3_exporter
