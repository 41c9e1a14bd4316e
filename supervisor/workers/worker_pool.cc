#include "supervisor/workers/worker_pool.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "common/logging.h"
#include "common/wire/seqpacket.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr milliseconds kFirstBackoff{100};
constexpr seconds kLongestBackoff{30};
constexpr seconds kHealthyAfter{60};
constexpr seconds kReadyWithin{5};

// A worker whose socket was closed ends by itself: iperf3 gets its SIGTERM and 500 ms, so that the
// server is freed.
constexpr milliseconds kLeaveWithin{700};

// After the first worker is ready, until the others are started: the first scrape, which waits for
// the port to open, goes first.
constexpr milliseconds kOthersAfter{5};

// A process that was sent SIGKILL is gone in a millisecond or two; many processes take longer.
constexpr milliseconds kOrphansEndWithin{200};

void Weaken(LayerStates& states, const LayerStates& others) {
  for (std::size_t i = 0; i < states.size(); ++i) states[i] = std::min(states[i], others[i]);
}

// Whether these are the directions that `job` tests.
bool HasDirectionsOf(const Job& job, const Measurement& measurement) {
  return measurement.upload.has_value() == (job.test.direction != Direction::kDownload) &&
         measurement.download.has_value() == (job.test.direction != Direction::kUpload);
}

}  // namespace

struct WorkerPool::Slot {
  Slot(event_base* base, std::uint32_t slot_index, std::function<void()> on_limit,
       std::function<void()> on_respawn)
      : index(slot_index), limit(base, std::move(on_limit)), respawn(base, std::move(on_respawn)) {}

  // Whether its worker may send a message about that job now.
  [[nodiscard]] bool Runs(std::uint64_t job_id) const {
    return state == WorkerState::kBusy && !reports_lock_gone && job.id == job_id;
  }

  std::uint32_t index;
  WorkerState state = WorkerState::kDown;
  std::unique_ptr<WorkerProcess> process;
  std::unique_ptr<ReadWatch> socket_watch;
  std::unique_ptr<ReadWatch> exit_watch;
  Timer limit;    // the end of the start-up time, or of its time for a job
  Timer respawn;  // the back-off
  milliseconds backoff = kFirstBackoff;
  Deadline ready_since;
  bool has_old_lock = false;  // the lock was recreated: to be replaced when its job is over
  SandboxReport sandbox;      // while it is idle or busy
  Job job;                    // while it is busy
  Deadline give_up_at;
  bool started = false;            // its iperf3
  bool reports_lock_gone = false;  // and waits for the owner's check
};

WorkerPool::WorkerPool(event_base* base, Settings settings, Hooks hooks)
    : base_(base),
      settings_(std::move(settings)),
      hooks_(std::move(hooks)),
      idle_(base, [this] { hooks_.on_idle(); }),
      lock_gone_(base, [this] { hooks_.on_lock_gone(); }) {}

WorkerPool::~WorkerPool() {
  slots_.clear();
  if (orphans_) orphans_->SweepAll(Clock::now() + kOrphansEndWithin);
}

Status WorkerPool::Start() {
  orphans_.emplace();
  death_watch_ = std::make_unique<SignalWatch>(base_, SIGCHLD, [this] { SweepOrphans(); });
  for (std::uint32_t i = 0; i < settings_.count; ++i) {
    slots_.push_back(std::make_unique<Slot>(
        base_, i, [this, i] { OnTimeout(*slots_[i]); },
        [this, i] {
          Slot& slot = *slots_[i];
          if (const Status status = SpawnInto(slot); !status) {
            Replace(slot, WorkerRestart::kNotReady, status.error().message);
          }
        }));
  }
  return SpawnInto(*slots_.front());
}

Status WorkerPool::SpawnInto(Slot& slot) {
  auto process = WorkerProcess::Spawn(settings_.path);
  if (!process) return tl::unexpected(process.error());
  WorkerConfig config = settings_.config;
  config.index = slot.index;
  if (latest_ready_) config.known_iperf3 = latest_ready_->iperf3;
  if (const Status sent = SendFrame((*process)->socket(), wire::Encode(config)); !sent) {
    return MakeError(settings_.path + " is not the worker program: it does not listen (" +
                     sent.error().message + ")");
  }
  slot.process = std::move(*process);
  slot.socket_watch = std::make_unique<ReadWatch>(base_, slot.process->socket(),
                                                  [this, &slot] { (void)OnReadable(slot); });
  slot.exit_watch =
      std::make_unique<ReadWatch>(base_, slot.process->pidfd(), [this, &slot] { OnExit(slot); });
  slot.state = WorkerState::kStarting;
  slot.has_old_lock = false;
  slot.limit.Start(kReadyWithin);
  return {};
}

bool WorkerPool::TryRun(const Job& job, Deadline give_up_at) {
  for (const auto& slot : slots_) {
    if (slot->state != WorkerState::kIdle) continue;
    // One that died a moment ago has not been noticed yet; it must not cost this job.
    if (const Status sent = SendFrame(slot->process->socket(), wire::Encode(job)); !sent) {
      Replace(*slot, WorkerRestart::kCrashed, sent.error().message);
      continue;
    }
    slot->state = WorkerState::kBusy;
    slot->job = job;
    slot->started = false;
    slot->give_up_at = give_up_at;
    slot->limit.Start(TimeLeft(give_up_at));
    return true;
  }
  return false;
}

void WorkerPool::Cancel(std::uint64_t job_id, Deadline give_up_at) {
  for (const auto& slot : slots_) {
    if (slot->state != WorkerState::kBusy || slot->job.id != job_id) continue;
    (void)SendFrame(slot->process->socket(), wire::Encode(wire::Cancel{}));
    slot->give_up_at = std::min(slot->give_up_at, give_up_at);
    slot->limit.Start(TimeLeft(slot->give_up_at));
  }
}

void WorkerPool::OnLockRecreated() {
  for (const auto& slot : slots_) {
    if (slot->state == WorkerState::kBusy) {
      slot->has_old_lock = true;
    } else if (slot->state != WorkerState::kDown) {
      Replace(*slot, WorkerRestart::kLockGone, "the lock was created again");
    }
  }
  for (const auto& slot : slots_) {
    if (!slot->reports_lock_gone) continue;
    EndJob(*slot, wire::NotStarted{slot->job.id, wire::NotStarted::Why::kLockGone});
  }
}

void WorkerPool::OnLockIntact() {
  for (const auto& slot : slots_) {
    if (!slot->reports_lock_gone) continue;
    Replace(*slot, WorkerRestart::kProtocol, "it reported a loss of the lock that is not lost");
  }
}

void WorkerPool::Stop() {
  const Deadline limit = Clock::now() + kLeaveWithin;
  for (const auto& slot : slots_) {
    slot->socket_watch.reset();
    slot->exit_watch.reset();
    if (slot->process) slot->process->CloseSocket();
  }
  for (const auto& slot : slots_) {
    if (slot->process) slot->process->AwaitExit(limit);
  }
  slots_.clear();
  death_watch_.reset();
  if (orphans_) orphans_->SweepAll(Clock::now() + kOrphansEndWithin);
}

std::size_t WorkerPool::CountIn(WorkerState state) const {
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [state](const auto& slot) { return slot->state == state; }));
}

bool WorkerPool::AnyAlive() const {
  return CountIn(WorkerState::kIdle) + CountIn(WorkerState::kBusy) > 0;
}

std::optional<SandboxReport> WorkerPool::WeakestSandbox() const {
  std::optional<SandboxReport> weakest;
  for (const auto& slot : slots_) {
    if (slot->state != WorkerState::kIdle && slot->state != WorkerState::kBusy) continue;
    if (!weakest) weakest = slot->sandbox;
    Weaken(weakest->worker, slot->sandbox.worker);
    Weaken(weakest->iperf3, slot->sandbox.iperf3);
  }
  return weakest;
}

bool WorkerPool::IsWorker(pid_t pid) const {
  return std::any_of(slots_.begin(), slots_.end(), [pid](const auto& slot) {
    return slot->process != nullptr && slot->process->pid() == pid;
  });
}

bool WorkerPool::OnReadable(Slot& slot) {
  switch (ReceiveFrame(slot.process->socket(), receive_buffer_, true)) {
    case ReceiveOutcome::kFrame:
      break;
    case ReceiveOutcome::kNothingYet:
      return false;
    case ReceiveOutcome::kClosed:
      Replace(slot, WorkerRestart::kCrashed, "closed its socket");
      return false;
    case ReceiveOutcome::kFailed:
      Replace(slot, WorkerRestart::kProtocol, "oversize frame");
      return false;
  }
  auto event = wire::DecodeEvent(receive_buffer_);
  if (!event) {
    Replace(slot, WorkerRestart::kProtocol, event.error().message);
  } else if (!std::visit([&](auto& message) { return Handle(slot, message); }, *event)) {
    Replace(slot, WorkerRestart::kProtocol, "a message that does not answer its job");
  }
  return true;
}

bool WorkerPool::Handle(Slot& slot, WorkerReady& ready) {
  if (slot.state != WorkerState::kStarting) return false;
  latest_error_.clear();
  if (!latest_ready_) StartOthers();
  slot.sandbox = ready.sandbox;
  latest_ready_ = std::move(ready);
  slot.limit.Stop();
  slot.state = WorkerState::kIdle;
  slot.ready_since = Clock::now();
  idle_.Start(nanoseconds(0));
  return true;
}

void WorkerPool::StartOthers() {
  for (const auto& slot : slots_) {
    if (slot->process == nullptr) slot->respawn.Start(kOthersAfter);
  }
}

bool WorkerPool::Handle(Slot& slot, wire::SetUpFailed& failed) {
  if (slot.state != WorkerState::kStarting) return false;
  latest_error_ = failed.why;
  Replace(slot, WorkerRestart::kNotReady, failed.why);
  // Perhaps because the lock was deleted: then it exists again before the next attempt.
  if (latest_ready_) lock_gone_.Start(nanoseconds(0));
  return true;
}

bool WorkerPool::Handle(Slot& slot, wire::Started& started) {
  const Job& job = slot.job;
  const bool is_plausible = slot.Runs(started.job_id) && !slot.started &&
                            started.period_seconds <= job.test.period_seconds &&
                            (job.lock_key != kNoLock || !started.recovered_lock);
  if (!is_plausible) return false;
  slot.started = true;
  hooks_.on_job_event(started);
  return true;
}

bool WorkerPool::Handle(Slot& slot, wire::Finished& finished) {
  const TestResult& result = finished.result;
  const bool is_plausible = slot.started ? !result || HasDirectionsOf(slot.job, *result)
                                         : !result && result.error().reason == FailureReason::kExec;
  if (!slot.Runs(finished.job_id) || !is_plausible) return false;
  EndJob(slot, finished);
  return true;
}

bool WorkerPool::Handle(Slot& slot, wire::NotStarted& not_started) {
  using Why = wire::NotStarted::Why;
  const Why why = not_started.why;
  const bool needs_lock = why == Why::kLockTimeout || why == Why::kLockGone;
  if (!slot.Runs(not_started.job_id) || slot.started) return false;
  if (needs_lock && slot.job.lock_key == kNoLock) return false;
  // Several workers may report the same deletion: one that is to be replaced for it anyway means
  // the lock as it had it.
  if (why == Why::kLockGone && !slot.has_old_lock) {
    slot.reports_lock_gone = true;
    lock_gone_.Start(nanoseconds(0));
  } else {
    EndJob(slot, not_started);
  }
  return true;
}

void WorkerPool::EndJob(Slot& slot, const JobEvent& event) {
  slot.limit.Stop();
  slot.state = WorkerState::kIdle;
  slot.reports_lock_gone = false;
  if (slot.has_old_lock) Replace(slot, WorkerRestart::kLockGone, "the lock was created again");
  idle_.Start(nanoseconds(0));
  hooks_.on_job_event(event);
}

void WorkerPool::OnExit(Slot& slot) {
  // The end of its job may still be in the socket, and counts.
  const WorkerProcess* process = slot.process.get();
  while (slot.state == WorkerState::kBusy && OnReadable(slot)) {
  }
  if (slot.process.get() != process) return;
  Replace(slot, WorkerRestart::kCrashed, "died");
}

void WorkerPool::OnTimeout(Slot& slot) {
  if (slot.state == WorkerState::kStarting) {
    Replace(slot, WorkerRestart::kNotReady, "not ready in time");
  } else if (slot.state == WorkerState::kBusy) {
    Replace(slot, WorkerRestart::kHung, "past its deadline");
  }
}

void WorkerPool::Replace(Slot& slot, WorkerRestart reason, const std::string& why) {
  slot.limit.Stop();
  const bool was_ready = slot.state == WorkerState::kIdle || slot.state == WorkerState::kBusy;
  slot.socket_watch.reset();
  slot.exit_watch.reset();
  std::string end;
  const pid_t pid = slot.process ? slot.process->pid() : 0;
  if (slot.process) end = slot.process->KillAndReap();
  slot.process.reset();
  // Now, not when SIGCHLD arrives: the lock may depend on it.
  SweepOrphans();
  if (!latest_ready_ && latest_error_.empty()) {
    latest_error_ = settings_.path + " was not ready (" + why + ", " + end +
                    "): is it the worker program, --worker.path?";
  }
  const bool has_new_lock = reason == WorkerRestart::kLockGone;
  if (has_new_lock || (was_ready && Clock::now() - slot.ready_since >= kHealthyAfter)) {
    slot.backoff = kFirstBackoff;
  }
  Log(has_new_lock ? LogLevel::kInfo : LogLevel::kError, "worker replaced",
      {{"worker", std::to_string(slot.index)},
       {"pid", std::to_string(pid)},
       {"reason", Name(reason)},
       {"detail", why},
       {"end", end}});
  const bool lost_job = slot.state == WorkerState::kBusy;
  slot.reports_lock_gone = false;
  // For a new lock a worker starts at the loop's next turn: a probe that comes before waits for it.
  slot.state = has_new_lock ? WorkerState::kStarting : WorkerState::kDown;
  slot.respawn.Start(has_new_lock ? nanoseconds(0) : nanoseconds(slot.backoff));
  if (!has_new_lock) slot.backoff = std::min<milliseconds>(slot.backoff * 2, kLongestBackoff);
  hooks_.on_restart(reason);
  if (!lost_job) return;
  hooks_.on_job_event(wire::Finished{
      slot.job.id, tl::unexpected(TestFailure{FailureReason::kWorkerLost,
                                              "the worker was replaced while it ran this probe"})});
}

void WorkerPool::SweepOrphans() {
  orphans_->Sweep([this](pid_t pid) { return IsWorker(pid); });
}

}  // namespace iperf3_exporter
