// The budgets of the exporter's own tests, as kept in --state.directory. A test's worst case is on
// the disk before the test starts, and is replaced by what it really transferred afterwards. So a
// crash at any point counts too much, by less than one test, and never too little.
//
// State that can't be read or written is an error of its test, never a reason to begin with an
// empty budget. It is read again at the next attempt, so that an operator can repair it.
//
// Blocks while the disk is read or written. Any thread may call it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "common/error.h"
#include "supervisor/budget/boot_clock.h"
#include "supervisor/budget/budget_state.h"
#include "supervisor/budget/state_directory.h"
#include "supervisor/config/own_test.h"
#include "supervisor/results/own_test_result.h"

namespace iperf3_exporter {

class BudgetBook {
 public:
  using ReservationId = std::uint64_t;

  explicit BudgetBook(StateDirectory directory,
                      std::function<ClockReading()> read_clocks = ReadClocks)
      : directory_(std::move(directory)), read_clocks_(std::move(read_clocks)) {}

  // What is used and left now.
  [[nodiscard]] Result<OwnTestBudgetState> Look(const std::string& test,
                                                const OwnTestBudget& budget);

  struct Reservation {
    bool is_reserved = false;  // false: `bytes` exceed what is left
    OwnTestBudgetState state;
  };
  // `id` must be new.
  [[nodiscard]] Result<Reservation> Reserve(ReservationId id, const std::string& test,
                                            const OwnTestBudget& budget, std::uint64_t bytes);

  // Replaces a reservation by the bytes that were transferred; nullopt: the reservation stays. Only
  // the first call for an id has an effect. If the state can't be written, it counts all the same
  // in this process, and on the disk the reservation stays for now.
  [[nodiscard]] Result<OwnTestBudgetState> Settle(ReservationId id,
                                                  std::optional<std::uint64_t> bytes);

 private:
  struct Reserved {
    std::string test;
    OwnTestBudget budget;
    std::uint64_t bytes = 0;
    ClockReading at;
  };

  // The current state of a test. The pointer stays valid.
  [[nodiscard]] Result<BudgetState*> Find(const std::string& test, const OwnTestBudget& budget);
  [[nodiscard]] Status Write(const std::string& test, const BudgetState& state) const;

  const StateDirectory directory_;
  const std::function<ClockReading()> read_clocks_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, BudgetState> states_;
  std::map<ReservationId, Reserved> reserved_;
};

}  // namespace iperf3_exporter
