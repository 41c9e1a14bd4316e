// Makes a BudgetBook usable from the event loop: a thread waits for the disk. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/iperf3/traffic.h"
#include "common/limited_log.h"
#include "supervisor/budget/budget_book.h"
#include "supervisor/config/own_test.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/loop/task_pool.h"

namespace iperf3_exporter {

class BudgetLedger {
 public:
  using ReservationId = BudgetBook::ReservationId;

  // `on_change`: what StateOf returns has changed for that test. It may call any method.
  BudgetLedger(event_base* base, StateDirectory directory,
               std::function<void(const std::string& test)> on_change);
  // Writes what Settle has not written yet, so it may block. Makes no callbacks.
  ~BudgetLedger();
  BudgetLedger(const BudgetLedger&) = delete;
  BudgetLedger& operator=(const BudgetLedger&) = delete;

  // Reads the state of those tests that have a budget. What can't be read is logged.
  void Load(const std::vector<OwnTestPointer>& tests);

  // Calls `decided` once: with an id after `bytes` were reserved from the budget of `test`, or with
  // nullopt if they exceed what is left or the state can't be used. It may call any method.
  void Reserve(const OwnTestPointer& test, std::uint64_t bytes,
               std::function<void(std::optional<ReservationId>)> decided);

  // The test has ended, perhaps without having started: what it really transferred replaces what
  // was reserved. nullopt: unknown, the reservation counts.
  void Settle(ReservationId id, const std::optional<Traffic>& traffic);

  // As of the last Load, Reserve or Settle of that test: older entries may have expired since.
  // nullopt: not read yet, or unusable.
  [[nodiscard]] std::optional<OwnTestBudgetState> StateOf(const std::string& test) const;

 private:
  // The input and the result of a task.
  struct Look;
  struct Request;
  struct Settlement {
    std::string test;
    std::optional<std::uint64_t> bytes;
  };

  [[nodiscard]] bool Submit(std::function<void()> work, std::function<void()> done);
  void OnLooked(const std::vector<Look>& looks);
  void OnReserved(ReservationId id, const Request& request);
  void SetState(const std::string& test, const Result<OwnTestBudgetState>& state);

  std::shared_ptr<BudgetBook> book_;  // a task that has begun keeps it
  std::function<void(const std::string&)> on_change_;
  std::map<std::string, OwnTestBudgetState> states_;
  std::map<ReservationId, std::string> reserved_;
  std::map<ReservationId, Settlement> settlements_;  // not made by a task yet
  ReservationId last_id_ = 0;
  LimitedLog skips_{LogLevel::kWarn, "test skipped by its budget"};
  TaskPool pool_;  // one thread, so tasks run in the order of the calls
  std::map<std::uint64_t, TaskPool::Task> tasks_;
  std::uint64_t last_task_ = 0;
};

}  // namespace iperf3_exporter
