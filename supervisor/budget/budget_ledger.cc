#include "supervisor/budget/budget_ledger.h"

#include <algorithm>
#include <utility>

namespace iperf3_exporter {
namespace {

// Enough for two tasks of each test of a large configuration.
constexpr std::size_t kMaxQueued = 100'000;
// Results of one task, so that handling them does not hold up the loop.
constexpr std::size_t kLooksOfATask = 100;

constexpr char kUnusable[] = "unusable_state";
constexpr char kExceeded[] = "exceeds_what_is_left";

}  // namespace

struct BudgetLedger::Look {
  OwnTestPointer test;
  Result<OwnTestBudgetState> state;
};

struct BudgetLedger::Request {
  OwnTestPointer test;
  std::uint64_t bytes = 0;
  std::function<void(std::optional<ReservationId>)> decided;
  Result<BudgetBook::Reservation> result;
};

BudgetLedger::BudgetLedger(event_base* base, StateDirectory directory,
                           std::function<void(const std::string& test)> on_change)
    : book_(std::make_shared<BudgetBook>(std::move(directory))),
      on_change_(std::move(on_change)),
      pool_(base, {.max_threads = 1, .max_queued = kMaxQueued}) {}

BudgetLedger::~BudgetLedger() {
  tasks_.clear();
  for (const auto& [id, settlement] : settlements_) {
    // Has no effect if a task has made it in the meantime.
    (void)book_->Settle(id, settlement.bytes);
  }
}

bool BudgetLedger::Submit(std::function<void()> work, std::function<void()> done) {
  const std::uint64_t number = ++last_task_;
  auto task = pool_.Submit(std::move(work), [this, number, done = std::move(done)] {
    done();
    tasks_.erase(number);
  });
  if (!task) {
    Log(LogLevel::kError, "no thread for the state directory", {{"detail", task.error().message}});
    return false;
  }
  tasks_.emplace(number, std::move(*task));
  return true;
}

void BudgetLedger::Load(const std::vector<OwnTestPointer>& tests) {
  auto next = tests.begin();
  while (next != tests.end()) {
    const auto looks = std::make_shared<std::vector<Look>>();
    for (; next != tests.end() && looks->size() < kLooksOfATask; ++next) {
      if ((*next)->budget) looks->push_back({*next, OwnTestBudgetState{}});
    }
    if (looks->empty()) return;
    (void)Submit(
        [book = book_, looks] {
          for (Look& look : *looks) look.state = book->Look(look.test->name, *look.test->budget);
        },
        [this, looks] { OnLooked(*looks); });
  }
}

void BudgetLedger::OnLooked(const std::vector<Look>& looks) {
  for (const Look& look : looks) {
    if (!look.state) {
      Log(LogLevel::kError, "the test cannot run, because the state of its budget is unusable",
          {{"test", look.test->name}, {"detail", look.state.error().message}});
    }
    SetState(look.test->name, look.state);
  }
}

void BudgetLedger::Reserve(const OwnTestPointer& test, std::uint64_t bytes,
                           std::function<void(std::optional<ReservationId>)> decided) {
  const ReservationId id = ++last_id_;
  const auto request = std::make_shared<Request>();
  *request = {test, bytes, std::move(decided), {}};
  const bool is_submitted = Submit(
      [book = book_, request, id] {
        request->result =
            book->Reserve(id, request->test->name, *request->test->budget, request->bytes);
      },
      [this, request, id] { OnReserved(id, *request); });
  if (!is_submitted) request->decided(std::nullopt);
}

void BudgetLedger::OnReserved(ReservationId id, const Request& request) {
  const std::string& test = request.test->name;
  const auto& result = request.result;
  SetState(test, result.map([](const BudgetBook::Reservation& made) { return made.state; }));
  if (!result) {
    skips_.Add(kUnusable, {{"test", test}, {"detail", result.error().message}});
  } else if (!result->is_reserved) {
    skips_.Add(kExceeded, {{"test", test},
                           {"worst_case_bytes", request.bytes},
                           {"left_bytes", result->state.left_bytes},
                           {"budget_bytes", request.test->budget->bytes}});
  } else {
    reserved_.emplace(id, test);
  }
  const bool is_reserved = result && result->is_reserved;
  request.decided(is_reserved ? std::optional(id) : std::nullopt);
}

void BudgetLedger::Settle(ReservationId id, const std::optional<Traffic>& traffic) {
  const auto node = reserved_.extract(id);
  if (node.empty()) return;
  const auto bytes = traffic ? std::optional(traffic->Total()) : std::nullopt;
  settlements_.emplace(id, Settlement{node.mapped(), bytes});
  const auto state = std::make_shared<Result<OwnTestBudgetState>>();
  // Without a thread, the destructor makes it.
  (void)Submit([book = book_, state, id, bytes] { *state = book->Settle(id, bytes); },
               [this, state, id] {
                 const std::string test = settlements_.extract(id).mapped().test;
                 if (!*state) {
                   Log(LogLevel::kError, "the state of a budget was not written",
                       {{"test", test}, {"detail", state->error().message}});
                 }
                 SetState(test, *state);
               });
}

std::optional<OwnTestBudgetState> BudgetLedger::StateOf(const std::string& test) const {
  const auto found = states_.find(test);
  return found == states_.end() ? std::nullopt : std::optional(found->second);
}

void BudgetLedger::SetState(const std::string& test, const Result<OwnTestBudgetState>& state) {
  if (state) {
    states_.insert_or_assign(test, *state);
  } else {
    states_.erase(test);
  }
  if (on_change_) on_change_(test);
}

}  // namespace iperf3_exporter
