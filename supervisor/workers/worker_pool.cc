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
// A worker answers by its job's deadline, and after a cancel as soon as iperf3 has been ended
// (SIGTERM, 500 ms, SIGKILL); one that is so much later hangs.
constexpr seconds kGraceAfterDeadline{1};

// A worker whose socket was closed tidies up and ends by itself: iperf3 gets its SIGTERM and
// 500 ms, so that the server is freed.
constexpr milliseconds kLeaveWithin{700};

// What was sent SIGKILL is gone in a millisecond or two; more only if there are many.
constexpr milliseconds kOrphansEndWithin{200};

void Weaken(LayerStates& states, const LayerStates& others) {
  for (std::size_t i = 0; i < states.size(); ++i) states[i] = std::min(states[i], others[i]);
}

// Whether `result` can be an answer to `job` at all.
bool Answers(const JobResult& result, const Job& job) {
  if (result.job_id != job.id) return false;
  if (result.period_seconds > job.test.period_seconds) return false;
  const bool of_the_lock =
      result.outcome == JobOutcome::kLockTimeout || result.outcome == JobOutcome::kLockGone;
  if (of_the_lock && job.lock_key == kNoLock) return false;
  if (result.outcome != JobOutcome::kSucceeded) return true;
  return result.period_seconds > 0 &&
         result.measurement.upload.has_value() == (job.test.direction != Direction::kDownload) &&
         result.measurement.download.has_value() == (job.test.direction != Direction::kUpload);
}

}  // namespace

struct WorkerPool::Slot {
  Slot(event_base* base, std::uint32_t slot_index, std::function<void()> on_limit,
       std::function<void()> on_respawn)
      : index(slot_index), limit(base, std::move(on_limit)), respawn(base, std::move(on_respawn)) {}

  std::uint32_t index;
  WorkerState state = WorkerState::kDown;
  std::unique_ptr<WorkerProcess> process;
  std::unique_ptr<ReadWatch> socket_watch;
  std::unique_ptr<ReadWatch> exit_watch;
  Timer limit;    // start-up time, or the job's deadline with its grace
  Timer respawn;  // back-off
  milliseconds backoff = kFirstBackoff;
  Deadline ready_since;
  bool renew = false;     // to be replaced when its job is over
  SandboxReport sandbox;  // while it is idle or busy
  Job job;                // what it is busy with
  Done done;
};

WorkerPool::WorkerPool(event_base* base, Settings settings, Hooks hooks)
    : base_(base),
      settings_(std::move(settings)),
      hooks_(std::move(hooks)),
      idle_timer_(base, [this] { hooks_.on_idle(); }) {}

WorkerPool::~WorkerPool() {
  slots_.clear();
  if (orphans_) orphans_->SweepAll(Clock::now() + kOrphansEndWithin);
}

Status WorkerPool::Start() {
  orphans_.emplace();
  death_watch_ = std::make_unique<SignalWatch>(base_, SIGCHLD, [this] { SweepOrphans(); });
  for (std::uint32_t i = 0; i < settings_.count; ++i) {
    slots_.push_back(std::make_unique<Slot>(
        base_, i, [this, i] { OnLimit(*slots_[i]); },
        [this, i] {
          Slot& slot = *slots_[i];
          if (const Status status = SpawnInto(slot); !status) {
            Replace(slot, WorkerRestart::kNotReady, status.error().message);
          }
        }));
    if (Status status = SpawnInto(*slots_.back()); !status) return status;
  }
  return {};
}

Status WorkerPool::SpawnInto(Slot& slot) {
  auto process = WorkerProcess::Spawn(settings_.path);
  if (!process) return tl::unexpected(process.error());
  WorkerConfig config = settings_.config;
  config.index = slot.index;
  if (const Status sent = SendFrame((*process)->socket(), wire::Encode(config)); !sent) {
    return MakeError(settings_.path + " is not the worker program: it does not listen (" +
                     sent.error().message + ")");
  }
  slot.process = std::move(*process);
  slot.socket_watch = std::make_unique<ReadWatch>(base_, slot.process->socket(),
                                                  [this, &slot] { OnReadable(slot); });
  slot.exit_watch =
      std::make_unique<ReadWatch>(base_, slot.process->pidfd(), [this, &slot] { OnExit(slot); });
  slot.state = WorkerState::kStarting;
  slot.renew = false;
  slot.limit.Start(kReadyWithin);
  return {};
}

bool WorkerPool::TryRun(const Job& job, Done done) {
  for (const auto& slot : slots_) {
    if (slot->state != WorkerState::kIdle) continue;
    // One that died a moment ago has not been seen to; it must not cost this job.
    if (const Status sent = SendFrame(slot->process->socket(), wire::Encode(job)); !sent) {
      Replace(*slot, WorkerRestart::kCrashed, sent.error().message);
      continue;
    }
    slot->state = WorkerState::kBusy;
    slot->job = job;
    slot->done = std::move(done);
    slot->limit.Start(TimeLeft(job.deadline) + kGraceAfterDeadline);
    return true;
  }
  return false;
}

void WorkerPool::Cancel(std::uint64_t job_id) {
  for (const auto& slot : slots_) {
    if (slot->state != WorkerState::kBusy || slot->job.id != job_id) continue;
    (void)SendFrame(slot->process->socket(), wire::Encode(wire::Cancel{job_id}));
    slot->limit.Start(kGraceAfterDeadline);
  }
}

void WorkerPool::Renew() {
  for (const auto& slot : slots_) {
    if (slot->state == WorkerState::kBusy) {
      slot->renew = true;
    } else if (slot->state != WorkerState::kDown) {
      Replace(*slot, WorkerRestart::kLockGone, "the lock was created anew");
    }
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

void WorkerPool::OnReadable(Slot& slot) {
  switch (ReceiveFrame(slot.process->socket(), receive_buffer_, true)) {
    case ReceiveOutcome::kFrame:
      break;
    case ReceiveOutcome::kNothingYet:
      return;
    case ReceiveOutcome::kClosed:
      Replace(slot, WorkerRestart::kCrashed, "closed its socket");
      return;
    case ReceiveOutcome::kFailed:
      Replace(slot, WorkerRestart::kProtocol, "oversize frame");
      return;
  }
  auto event = wire::DecodeEvent(receive_buffer_);
  if (!event) {
    Replace(slot, WorkerRestart::kProtocol, event.error().message);
    return;
  }
  OnEvent(slot, std::move(*event));
}

// What a worker may say, and when; anything else is a breach.
void WorkerPool::OnEvent(Slot& slot, wire::Event event) {
  if (auto* ready = std::get_if<WorkerReady>(&event); ready != nullptr) {
    if (slot.state == WorkerState::kStarting) {
      OnReady(slot, std::move(*ready));
      return;
    }
  } else if (const auto& result = std::get<JobResult>(event);
             slot.state == WorkerState::kBusy && Answers(result, slot.job) &&
             (result.outcome != JobOutcome::kLockGone || TrulyGone(slot))) {
    OnResult(slot, result);
    return;
  }
  Replace(slot, WorkerRestart::kProtocol, "a message that does not answer its job");
}

// Several workers may tell of the same deletion: those that are to be replaced for it anyway
// speak of the lock as they had it.
bool WorkerPool::TrulyGone(const Slot& slot) {
  return slot.renew || (hooks_.renew_lock && hooks_.renew_lock());
}

void WorkerPool::OnReady(Slot& slot, WorkerReady ready) {
  if (!ready.error.empty()) {
    latest_error_ = ready.error;
    Replace(slot, WorkerRestart::kNotReady, ready.error);
    // Perhaps because the lock was deleted: then it is there again before the next try.
    if (latest_ready_ && hooks_.renew_lock) hooks_.renew_lock();
    return;
  }
  latest_error_.clear();
  slot.sandbox = ready.sandbox;
  latest_ready_ = std::move(ready);
  slot.limit.Stop();
  slot.state = WorkerState::kIdle;
  slot.ready_since = Clock::now();
  TellIdle();
}

void WorkerPool::OnResult(Slot& slot, const JobResult& result) {
  slot.limit.Stop();
  slot.state = WorkerState::kIdle;
  const Done done = std::exchange(slot.done, nullptr);
  if (slot.renew) Replace(slot, WorkerRestart::kLockGone, "the lock was created anew");
  TellIdle();
  done(result);
}

void WorkerPool::OnExit(Slot& slot) {
  // The answer to its job may still be in the socket; it counts, and TryRun finds out that the
  // worker behind it is gone.
  if (slot.state == WorkerState::kBusy) {
    const WorkerProcess* process = slot.process.get();
    OnReadable(slot);
    if (slot.process.get() != process) return;
  }
  Replace(slot, WorkerRestart::kCrashed, "died");
}

void WorkerPool::OnLimit(Slot& slot) {
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
  // Now, not when SIGCHLD is heard: the lock may hang on it.
  SweepOrphans();
  if (!latest_ready_ && latest_error_.empty()) {
    latest_error_ = settings_.path + " was not ready (" + why + ", " + end +
                    "): is it the worker program, --worker.path?";
  }
  const bool renewed = reason == WorkerRestart::kLockGone;
  if (renewed || (was_ready && Clock::now() - slot.ready_since >= kHealthyAfter)) {
    slot.backoff = kFirstBackoff;
  }
  Log(renewed ? LogLevel::kInfo : LogLevel::kError, "worker replaced",
      {{"worker", std::to_string(slot.index)},
       {"pid", std::to_string(pid)},
       {"reason", kWorkerRestartNames[static_cast<std::size_t>(reason)]},
       {"detail", why},
       {"end", end}});
  const bool lost_job = slot.state == WorkerState::kBusy;
  // One that is renewed starts at the loop's next turn: a probe that comes before waits for it.
  slot.state = renewed ? WorkerState::kStarting : WorkerState::kDown;
  slot.respawn.Start(renewed ? nanoseconds(0) : nanoseconds(slot.backoff));
  if (!renewed) slot.backoff = std::min<milliseconds>(slot.backoff * 2, kLongestBackoff);
  if (hooks_.on_restart) hooks_.on_restart(reason);
  if (lost_job) FailJob(slot);
}

void WorkerPool::FailJob(Slot& slot) {
  JobResult lost;
  lost.job_id = slot.job.id;
  lost.outcome = JobOutcome::kFailed;
  lost.reason = FailureReason::kWorkerLost;
  lost.error_text = "the worker was replaced while it ran this probe";
  const Done done = std::exchange(slot.done, nullptr);
  if (done) done(lost);
}

void WorkerPool::SweepOrphans() {
  orphans_->Sweep([this](pid_t pid) { return IsWorker(pid); });
}

// From the loop, not from here: the owner may call TryRun at once.
void WorkerPool::TellIdle() { idle_timer_.Start(nanoseconds(0)); }

}  // namespace iperf3_exporter
