#include "supervisor/schedule/own_tests.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/logging.h"
#include "supervisor/probe/own_test_request.h"
#include "supervisor/probe/port_list.h"
#include "supervisor/probe/probe_timing.h"

namespace iperf3_exporter {
namespace {

// Starting a probe takes 0.1 ms.
constexpr int kMaxStartsPerTurn = 16;

// Taking over a test takes 10 us.
constexpr std::size_t kMaxConfiguredPerTurn = 100;

// How many starts are compared with the windows to find the next run. A test whose `every` is about
// as long as its windows may miss several of them.
constexpr int kMaxStartsAhead = 16;

// The wall clock is slewed by less.
constexpr std::chrono::seconds kMinClockStep{1};

std::chrono::nanoseconds OffsetOf(const Now& now) {
  return now.wall.time_since_epoch() - now.monotonic.time_since_epoch();
}

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  // Cut at the end of the array, perhaps without a NUL.
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

bool HasSameStarts(const OwnTest& a, const OwnTest& b) {
  return a.every == b.every && a.jitter_percent == b.jitter_percent;
}

}  // namespace

OwnTests::OwnTests(Context context, OwnTestHooks hooks)
    : context_(std::move(context)),
      hooks_(std::move(hooks)),
      host_(HostName()),
      timer_(context_.base, [this] { OnTimer(); }),
      configure_timer_(context_.base, [this] { ConfigureSome(); }) {}

Now OwnTests::CurrentTime() const { return {Clock::now(), context_.wall_clock()}; }

StartTimes OwnTests::StartTimesOf(const OwnTest& test) const {
  return {host_, test.name, test.every, test.jitter_percent};
}

void OwnTests::Configure(std::shared_ptr<const Modules> modules) {
  if (stopped_) return;
  modules_ = std::move(modules);
  old_ids_.merge(ids_);
  ids_.clear();
  configured_ = 0;
  clock_offset_ = OffsetOf(CurrentTime());
  timer_.Stop();
  ConfigureSome();
}

void OwnTests::ConfigureSome() {
  const std::vector<OwnTestPointer>& tests = modules_->own_tests;
  const std::size_t end = std::min(tests.size(), configured_ + kMaxConfiguredPerTurn);
  while (configured_ < end) ConfigureOne(tests[configured_++]);
  for (std::size_t i = 0; end == tests.size() && i < kMaxConfiguredPerTurn; ++i) {
    if (old_ids_.empty()) return StartTimer();
    Drop(old_ids_.extract(old_ids_.begin()).mapped());
  }
  configure_timer_.Start(std::chrono::nanoseconds::zero());
}

void OwnTests::ConfigureOne(const OwnTestPointer& test) {
  auto identity = std::make_shared<const OwnTestIdentity>(BuildOwnTestIdentity(*test, *modules_));
  auto known = old_ids_.extract(test->name);
  if (known.empty()) return Add(test, std::move(identity));
  const Id id = known.mapped();
  if (*entries_.at(id).result.test == *identity) {
    ids_.insert(std::move(known));
    Update(id, entries_.at(id), test);
  } else {
    Drop(id);
    Add(test, std::move(identity));
  }
}

void OwnTests::Add(const OwnTestPointer& test, std::shared_ptr<const OwnTestIdentity> identity) {
  const Id id = ++last_id_;
  ids_.emplace(test->name, id);
  schedule_.Add(id, StartTimesOf(*test), CurrentTime());
  Entry& entry = entries_[id];
  entry.test = test;
  entry.result.test = std::move(identity);
  Publish(id, entry);
  WarnIfItNeverRuns(entry);
}

void OwnTests::WarnIfItNeverRuns(const Entry& entry) {
  if (entry.result.next_run) return;
  never_.Add("window", {{"test", entry.test->name},
                        {"detail", "none of its next starts on this host is in its windows"}});
}

void OwnTests::Update(Id id, Entry& entry, const OwnTestPointer& test) {
  if (!HasSameStarts(*entry.test, *test)) {
    schedule_.Remove(id);
    schedule_.Add(id, StartTimesOf(*test), CurrentTime());
  }
  entry.test = test;
  Publish(id, entry);
  WarnIfItNeverRuns(entry);
}

void OwnTests::Drop(Id id) {
  const auto entry = entries_.extract(id);
  schedule_.Remove(id);
  const auto& probe = entry.mapped().probe;
  if (!probe) return;
  Log(LogLevel::kWarn, "own test cancelled: a new configuration changes or removes it",
      {{"test", entry.mapped().test->name}});
  context_.dispatcher.Cancel(*probe);
}

void OwnTests::Stop() {
  stopped_ = true;
  timer_.Stop();
  configure_timer_.Stop();
}

void OwnTests::StartTimer() {
  if (const auto due = schedule_.NextDue()) {
    timer_.Start(TimeLeft(*due));
  } else {
    timer_.Stop();
  }
}

void OwnTests::OnTimer() {
  for (int i = 0; i < kMaxStartsPerTurn; ++i) {
    const auto due = schedule_.PopDue(CurrentTime());
    if (!due) break;
    Entry& entry = entries_.at(due->id);
    if (due->is_missed) {
      missed_.Add("late", {{"test", entry.test->name}});
    } else {
      OnDue(due->id, entry);
    }
    Publish(due->id, entry);
  }
  StartTimer();
}

void OwnTests::OnDue(Id id, Entry& entry) {
  const OwnTestPointer test = entry.test;
  if (!IsInWindows(test->windows, context_.wall_clock())) {
    return Skip(entry, SkipReason::kWindow, {});
  }
  if (entry.is_busy) return Skip(entry, SkipReason::kLock, "the last run has not ended");
  auto request = BuildOwnTestRequest(*test, *modules_, context_.iperf3());
  if (!request) return Fail(entry, FailureReason::kInvalidOption, request.error().text);
  if (!test->budget || !hooks_.reserve) return Run(id, entry, std::move(*request), std::nullopt);
  entry.is_busy = true;
  hooks_.reserve(test, *request,
                 [this, id, request = *request](std::optional<ReservationId> reservation) {
                   OnReserved(id, request, reservation);
                 });
}

void OwnTests::OnReserved(Id id, const ProbeRequest& request,
                          std::optional<ReservationId> reservation) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || stopped_) {
    if (reservation) hooks_.settle(*reservation, Traffic{});
    return;
  }
  Entry& entry = found->second;
  entry.is_busy = false;
  if (reservation) {
    Run(id, entry, request, reservation);
  } else {
    // The ledger has logged why.
    ++entry.result.skipped[static_cast<std::size_t>(SkipReason::kBudget)];
  }
  Publish(id, entry);
}

void OwnTests::Run(Id id, Entry& entry, ProbeRequest request,
                   std::optional<ReservationId> reservation) {
  const TimePoint now = Clock::now();
  const Deadline deadline = OwnTestDeadline(now, request.test, ShortestGap(*entry.test),
                                            context_.options.lock_timeout, request.module->times);
  entry.is_busy = true;
  const ProbeDispatcher::Id probe = context_.dispatcher.Start(
      std::move(request), now, deadline,
      [this, id](const ProbeOutcome& outcome) { OnEnded(id, outcome); },
      [this, id, reservation](const std::optional<Traffic>& traffic) {
        OnTraffic(id, reservation, traffic);
      });
  if (entry.is_busy) entry.probe = probe;
}

void OwnTests::OnTraffic(Id id, std::optional<ReservationId> reservation,
                         const std::optional<Traffic>& traffic) {
  if (reservation) hooks_.settle(*reservation, traffic);
  const auto found = entries_.find(id);
  if (found == entries_.end() || !traffic) return;
  OwnTestResult& result = found->second.result;
  result.uploaded_bytes += traffic->upload_bytes;
  result.downloaded_bytes += traffic->download_bytes;
  Publish(id, found->second);
}

void OwnTests::OnBudgetChange(const std::string& test) {
  if (const auto id = ids_.find(test); id != ids_.end())
    Publish(id->second, entries_.at(id->second));
}

void OwnTests::OnEnded(Id id, const ProbeOutcome& outcome) {
  Entry& entry = entries_.at(id);
  entry.is_busy = false;
  entry.probe.reset();
  if (outcome) {
    OnReport(entry, *outcome);
  } else {
    OnRefusal(entry, outcome.error());
  }
  Publish(id, entry);
}

void OwnTests::OnReport(Entry& entry, const ProbeReport& report) {
  OwnTestResult& result = entry.result;
  result.report = std::make_shared<const ProbeReport>(report);
  result.last_run = context_.wall_clock();
  if (!report.result) {
    ++result.failures;
    return;
  }
  ++result.successes;
  result.last_success = result.last_run;
}

void OwnTests::OnRefusal(Entry& entry, const Refusal& refusal) {
  switch (refusal.reason) {
    case RefusalReason::kDraining:
      return;
    case RefusalReason::kBadRequest:
      return Fail(entry, FailureReason::kInvalidOption, refusal.text);
    case RefusalReason::kForbidden:
      return Fail(entry, FailureReason::kResolve, refusal.text);
    case RefusalReason::kQueueFull:
    case RefusalReason::kLockTimeout:
    case RefusalReason::kWorkerTimeout:
    case RefusalReason::kNoWorker:
      return Skip(entry, SkipReason::kLock, refusal.text);
  }
}

void OwnTests::Fail(Entry& entry, FailureReason reason, const std::string& text) {
  ProbeReport report;
  report.target = entry.result.test->target;
  if (const auto ports = ParsePortList(entry.result.test->port)) report.port = ports->front();
  report.result = tl::unexpected(TestFailure{reason, text});
  failures_.Add(Name(reason), {{"test", entry.test->name}, {"detail", text}});
  OnReport(entry, report);
}

void OwnTests::Skip(Entry& entry, SkipReason reason, const std::string& detail) {
  ++entry.result.skipped[static_cast<std::size_t>(reason)];
  const std::vector<LogField> fields = {{"test", entry.test->name}, {"detail", detail}};
  if (reason != SkipReason::kWindow) return skips_.Add(Name(reason), fields);
  Log(LogLevel::kDebug, "own test outside its windows", {{"test", entry.test->name}});
}

void OwnTests::Publish(Id id, Entry& entry) {
  entry.result.next_run = NextRun(id, entry);
  if (entry.test->budget && hooks_.budget_state) {
    entry.result.budget = hooks_.budget_state(*entry.test);
  } else {
    entry.result.budget.reset();
  }
  entry.published = std::make_shared<const OwnTestResult>(entry.result);
}

std::optional<WallTime> OwnTests::NextRun(Id id, const Entry& entry) const {
  const std::vector<TimeWindow>& windows = entry.test->windows;
  WallTime start = schedule_.NextStart(id, CurrentTime());
  if (windows.empty()) return start;
  const StartTimes times = StartTimesOf(*entry.test);
  for (int i = 0; i < kMaxStartsAhead; ++i) {
    const auto opening = FirstInWindows(windows, start);
    if (!opening || *opening == start) return opening;
    start = times.FirstAfter(*opening - std::chrono::nanoseconds(1));
  }
  return std::nullopt;
}

std::vector<std::shared_ptr<const OwnTestResult>> OwnTests::Snapshot() {
  const bool was_set = std::chrono::abs(OffsetOf(CurrentTime()) - clock_offset_) >= kMinClockStep;
  if (was_set && modules_ != nullptr) Configure(modules_);
  std::vector<std::shared_ptr<const OwnTestResult>> results;
  results.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) results.push_back(entry.published);
  return results;
}

}  // namespace iperf3_exporter
