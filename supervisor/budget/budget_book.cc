#include "supervisor/budget/budget_book.h"

#include <algorithm>
#include <utility>

namespace iperf3_exporter {
namespace {

std::string FileOf(const std::string& test) { return test + ".budget"; }

OwnTestBudgetState Summarize(const BudgetState& state, const OwnTestBudget& budget) {
  const std::uint64_t used = state.used_bytes();
  return {.used_bytes = used, .left_bytes = budget.bytes - std::min(budget.bytes, used)};
}

}  // namespace

Result<BudgetState*> BudgetBook::Find(const std::string& test, const OwnTestBudget& budget) {
  const ClockReading now = read_clocks_();
  auto found = states_.find(test);
  if (found == states_.end()) {
    const auto text = directory_.Read(FileOf(test), BudgetState::kMaxTextBytes);
    if (!text) return tl::unexpected(text.error());
    auto state = *text ? BudgetState::Parse(**text, test, now) : BudgetState(now);
    if (!state) {
      return MakeError(directory_.path() + '/' + FileOf(test) + ": " + state.error().message);
    }
    found = states_.emplace(test, std::move(*state)).first;
  }
  found->second.Advance(now, budget.per);
  return &found->second;
}

Status BudgetBook::Write(const std::string& test, const BudgetState& state) const {
  return directory_.Write(FileOf(test), state.Format(test));
}

Result<OwnTestBudgetState> BudgetBook::Look(const std::string& test, const OwnTestBudget& budget) {
  const std::lock_guard lock(mutex_);
  return Find(test, budget).map([&](const BudgetState* state) {
    return Summarize(*state, budget);
  });
}

Result<BudgetBook::Reservation> BudgetBook::Reserve(ReservationId id, const std::string& test,
                                                    const OwnTestBudget& budget,
                                                    std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto state = Find(test, budget);
  if (!state) return tl::unexpected(state.error());
  const OwnTestBudgetState before = Summarize(**state, budget);
  if (bytes > before.left_bytes) return Reservation{.is_reserved = false, .state = before};
  const BudgetState unreserved = **state;
  (*state)->Add(bytes, budget.per);
  if (Status status = Write(test, **state); !status) {
    **state = unreserved;
    return tl::unexpected(std::move(status.error()));
  }
  reserved_.emplace(id, Reserved{test, budget, bytes, (*state)->now()});
  return Reservation{.is_reserved = true, .state = Summarize(**state, budget)};
}

Result<OwnTestBudgetState> BudgetBook::Settle(ReservationId id,
                                              std::optional<std::uint64_t> bytes) {
  const std::lock_guard lock(mutex_);
  const auto node = reserved_.extract(id);
  if (node.empty()) return MakeError("the reservation is unknown");
  const Reserved& reserved = node.mapped();
  const auto state = Find(reserved.test, reserved.budget);
  if (!state) return tl::unexpected(state.error());
  if (bytes) {
    (*state)->Remove(reserved.bytes, reserved.at);
    (*state)->Add(*bytes, reserved.budget.per);
    if (Status status = Write(reserved.test, **state); !status) {
      return tl::unexpected(std::move(status.error()));
    }
  }
  return Summarize(**state, reserved.budget);
}

}  // namespace iperf3_exporter
