#include "supervisor/workers/worker_pool.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "common/logging.h"
#include "common/text.h"
#include "common/wire/seqpacket.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr milliseconds kFirstBackoff{100};
constexpr seconds kMaxBackoff{30};
constexpr seconds kHealthyAfter{60};
// Four times as long after each failure, for loaded and emulated machines.
constexpr seconds kReadyWithin{5};
constexpr seconds kMaxReadyWithin{80};
// Before any worker was ready: a program that crashes that often always does.
constexpr int kMaxCrashesAtStart = 5;
// Also if its process has ended: which of both shows first is a matter of chance.
constexpr char kSocketClosed[] = "closed its socket";

// A worker whose socket is closed sends SIGTERM to iperf3 and waits 500 ms for it, so that iperf3
// can release its server.
constexpr milliseconds kExitWithin{700};

// Between the first WorkerReady and the start of the others, so that it does not delay the first
// scrape.
constexpr milliseconds kOthersAfter{5};

// SIGKILL ends a process within milliseconds; many processes need longer.
constexpr milliseconds kOrphansEndWithin{200};

void Weaken(LayerStates& states, const LayerStates& others) {
  for (std::size_t i = 0; i < states.size(); ++i) states[i] = std::min(states[i], others[i]);
}

// Whether `measurement` has the directions of `job`.
bool HasDirectionsOf(const Job& job, const Measurement& measurement) {
  return measurement.upload.has_value() == (job.test.direction != Direction::kDownload) &&
         measurement.download.has_value() == (job.test.direction != Direction::kUpload);
}

}  // namespace

struct WorkerPool::Worker {
  // Whether it may send a message about that job now.
  [[nodiscard]] bool Runs(std::uint64_t job_id) const {
    return state == WorkerState::kBusy && !reports_lock_gone && job.id == job_id;
  }

  const std::uint32_t index;
  Timer timer;  // limit of start or job; without a process, the back-off
  WorkerState state = WorkerState::kDown;
  std::unique_ptr<WorkerProcess> process;
  std::unique_ptr<ReadWatch> socket_watch;
  std::unique_ptr<ReadWatch> exit_watch;
  milliseconds backoff = kFirstBackoff;
  seconds ready_within = kReadyWithin;
  TimePoint ready_since;
  bool runs_iperf3 = false;   // before it is ready
  bool has_old_lock = false;  // replaced after its job
  SandboxReport sandbox;      // while it is idle or busy
  Job job;                    // while it is busy
  Deadline worker_kill_at;
  bool started = false;            // its iperf3
  bool reports_lock_gone = false;  // until on_lock_gone was answered
};

WorkerPool::WorkerPool(event_base* base, Settings settings, Hooks hooks)
    : base_(base),
      settings_(std::move(settings)),
      hooks_(std::move(hooks)),
      idle_(base, [this] { hooks_.on_idle(); }),
      lock_gone_(base, [this] { hooks_.on_lock_gone(); }) {}

WorkerPool::~WorkerPool() {
  workers_.clear();
  if (orphans_) orphans_->SweepAll(Clock::now() + kOrphansEndWithin);
}

Status WorkerPool::Start() {
  orphans_.emplace();
  death_watch_ = std::make_unique<SignalWatch>(base_, SIGCHLD, [this] { SweepOrphans(); });
  for (std::uint32_t i = 0; i < settings_.count; ++i) {
    workers_.emplace_back(
        new Worker{.index = i, .timer{base_, [this, i] { OnTimeout(*workers_[i]); }}});
  }
  return Spawn(*workers_.front());
}

Status WorkerPool::Spawn(Worker& worker) {
  if (!latest_ready_) latest_error_.reset();
  auto process = WorkerProcess::Spawn(settings_.path);
  if (!process) return tl::unexpected(process.error());
  WorkerConfig config = settings_.config;
  worker.runs_iperf3 = !latest_ready_ || !iperf3_error_.empty();
  if (!worker.runs_iperf3) config.known_iperf3 = latest_ready_->iperf3;
  // A program that has already ended is noticed as one that ends a little later.
  (void)SendFrame((*process)->socket(), wire::Encode(config));
  worker.process = std::move(*process);
  worker.socket_watch = std::make_unique<ReadWatch>(base_, worker.process->socket(),
                                                    [this, &worker] { (void)OnReadable(worker); });
  worker.exit_watch = std::make_unique<ReadWatch>(base_, worker.process->pidfd(),
                                                  [this, &worker] { OnExit(worker); });
  worker.state = WorkerState::kStarting;
  worker.has_old_lock = false;
  worker.timer.Start(worker.ready_within);
  return {};
}

bool WorkerPool::TryRun(const Job& job, Deadline worker_kill_at) {
  for (const auto& worker : workers_) {
    if (worker->state != WorkerState::kIdle) continue;
    // Its death may not have been noticed yet; the job must not fail because of it.
    if (const Status sent = SendFrame(worker->process->socket(), wire::Encode(job)); !sent) {
      Replace(*worker, WorkerRestart::kCrashed, sent.error().message);
      continue;
    }
    worker->state = WorkerState::kBusy;
    worker->job = job;
    worker->started = false;
    worker->worker_kill_at = worker_kill_at;
    worker->timer.Start(TimeLeft(worker_kill_at));
    return true;
  }
  return false;
}

void WorkerPool::Cancel(std::uint64_t job_id, Deadline worker_kill_at) {
  for (const auto& worker : workers_) {
    if (worker->state != WorkerState::kBusy || worker->job.id != job_id) continue;
    (void)SendFrame(worker->process->socket(), wire::Encode(wire::Cancel{}));
    worker->worker_kill_at = std::min(worker->worker_kill_at, worker_kill_at);
    worker->timer.Start(TimeLeft(worker->worker_kill_at));
  }
}

void WorkerPool::OnLockChanged() {
  for (const auto& worker : workers_) {
    if (worker->state == WorkerState::kBusy) {
      worker->has_old_lock = true;
    } else if (worker->state != WorkerState::kDown) {
      Replace(*worker, WorkerRestart::kLockGone, "the lock's files were deleted or changed");
    }
  }
  for (const auto& worker : workers_) {
    if (!worker->reports_lock_gone) continue;
    EndJob(*worker, wire::NotStarted{worker->job.id, wire::NotStarted::Reason::kLockGone});
  }
}

void WorkerPool::OnLockIntact() {
  for (const auto& worker : workers_) {
    if (!worker->reports_lock_gone) continue;
    Replace(*worker, WorkerRestart::kProtocol,
            "it reported that the lock's files are deleted, but they exist");
  }
}

void WorkerPool::Stop() {
  const Deadline limit = Clock::now() + kExitWithin;
  for (const auto& worker : workers_) {
    worker->socket_watch.reset();
    worker->exit_watch.reset();
    if (worker->process) worker->process->CloseSocket();
  }
  for (const auto& worker : workers_) {
    if (worker->process) AwaitExit(worker->process->pidfd(), limit);
  }
  workers_.clear();
  death_watch_.reset();
  if (orphans_) orphans_->SweepAll(Clock::now() + kOrphansEndWithin);
}

std::size_t WorkerPool::CountIn(WorkerState state) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      workers_, [state](const auto& worker) { return worker->state == state; }));
}

bool WorkerPool::AnyAlive() const {
  return CountIn(WorkerState::kIdle) + CountIn(WorkerState::kBusy) > 0;
}

std::string WorkerPool::NoTestText() const {
  if (!iperf3_error_.empty() || AnyAlive()) return iperf3_error_;
  return NoWorkerText();
}

std::optional<SandboxReport> WorkerPool::WeakestSandbox() const {
  std::optional<SandboxReport> weakest;
  for (const auto& worker : workers_) {
    if (worker->state != WorkerState::kIdle && worker->state != WorkerState::kBusy) continue;
    if (!weakest) weakest = worker->sandbox;
    Weaken(weakest->worker, worker->sandbox.worker);
    Weaken(weakest->iperf3, worker->sandbox.iperf3);
  }
  return weakest;
}

bool WorkerPool::IsWorker(pid_t pid) const {
  return std::ranges::any_of(workers_, [pid](const auto& worker) {
    return worker->process != nullptr && worker->process->pid() == pid;
  });
}

bool WorkerPool::OnReadable(Worker& worker) {
  switch (ReceiveFrame(worker.process->socket(), receive_buffer_, true)) {
    case ReceiveOutcome::kFrame:
      break;
    case ReceiveOutcome::kWouldBlock:
      return false;
    case ReceiveOutcome::kClosed:
      Replace(worker, WorkerRestart::kCrashed, kSocketClosed);
      return false;
    case ReceiveOutcome::kFailed:
      Replace(worker, WorkerRestart::kProtocol, "receiving failed, or the message is too long");
      return false;
  }
  auto event = wire::DecodeEvent(receive_buffer_);
  if (!event) {
    Replace(worker, WorkerRestart::kProtocol, event.error().message);
  } else if (!std::visit([&](auto& message) { return Handle(worker, message); }, *event)) {
    Replace(worker, WorkerRestart::kProtocol, "unexpected or implausible message");
  }
  return true;
}

bool WorkerPool::Handle(Worker& worker, WorkerReady& ready) {
  if (worker.state != WorkerState::kStarting) return false;
  latest_error_.reset();
  if (worker.runs_iperf3) iperf3_error_.clear();
  if (!latest_ready_) StartOthers();
  worker.sandbox = ready.sandbox;
  latest_ready_ = std::move(ready);
  worker.timer.Stop();
  worker.state = WorkerState::kIdle;
  worker.ready_since = Clock::now();
  idle_.Start(nanoseconds(0));
  return true;
}

void WorkerPool::StartOthers() {
  for (const auto& worker : workers_) {
    if (worker->process == nullptr) worker->timer.Start(kOthersAfter);
  }
}

bool WorkerPool::Handle(Worker& worker, wire::SetUpFailed& failed) {
  if (worker.state != WorkerState::kStarting) return false;
  latest_error_ = Error{.message = failed.message, .is_transient = failed.is_transient};
  Replace(worker, WorkerRestart::kNotReady, failed.message);
  // The lock's files may have been deleted: have them checked before the next attempt.
  if (latest_ready_) lock_gone_.Start(nanoseconds(0));
  return true;
}

bool WorkerPool::Handle(Worker& worker, wire::Started& started) {
  const Job& job = worker.job;
  const bool is_plausible = worker.Runs(started.job_id) && !worker.started &&
                            started.period_seconds <= job.test.period_seconds &&
                            (job.lock_key != kNoLock || !started.recovered_lock);
  if (!is_plausible) return false;
  worker.started = true;
  iperf3_error_.clear();
  hooks_.on_job_event(started);
  return true;
}

bool WorkerPool::Handle(Worker& worker, wire::Finished& finished) {
  const TestResult& result = finished.result;
  const bool is_plausible = worker.started
                                ? !result || HasDirectionsOf(worker.job, *result)
                                : !result && result.error().reason == FailureReason::kExec;
  if (!worker.Runs(finished.job_id) || !is_plausible) return false;
  if (!worker.started) {
    iperf3_error_ = "iperf3 can't be started: " + ToPrintable(result.error().detail);
  }
  EndJob(worker, finished);
  return true;
}

bool WorkerPool::Handle(Worker& worker, wire::NotStarted& not_started) {
  using Reason = wire::NotStarted::Reason;
  const Reason reason = not_started.reason;
  const bool needs_lock = reason == Reason::kLockTimeout || reason == Reason::kLockGone;
  if (!worker.Runs(not_started.job_id) || worker.started) return false;
  if (needs_lock && worker.job.lock_key == kNoLock) return false;
  // Several workers may report the same deletion: one that has the old lock is replaced anyway.
  if (reason == Reason::kLockGone && !worker.has_old_lock) {
    worker.reports_lock_gone = true;
    lock_gone_.Start(nanoseconds(0));
  } else {
    EndJob(worker, not_started);
  }
  return true;
}

void WorkerPool::EndJob(Worker& worker, const JobEvent& event) {
  worker.timer.Stop();
  worker.state = WorkerState::kIdle;
  worker.reports_lock_gone = false;
  if (worker.has_old_lock) {
    Replace(worker, WorkerRestart::kLockGone, "the lock's files were deleted or changed");
  } else if (!worker.started && std::holds_alternative<wire::Finished>(event)) {
    Replace(worker, WorkerRestart::kNotReady, iperf3_error_);
  }
  idle_.Start(nanoseconds(0));
  hooks_.on_job_event(event);
}

void WorkerPool::OnExit(Worker& worker) {
  // The job's last message may still be in the socket.
  const WorkerProcess* process = worker.process.get();
  while (worker.state == WorkerState::kBusy && OnReadable(worker)) {
  }
  if (worker.process.get() != process) return;
  Replace(worker, WorkerRestart::kCrashed, kSocketClosed);
}

void WorkerPool::OnTimeout(Worker& worker) {
  if (!worker.process) {
    if (const Status status = Spawn(worker); !status) {
      latest_error_ = status.error();
      Replace(worker, WorkerRestart::kNotReady, status.error().message);
    }
  } else if (worker.state == WorkerState::kStarting) {
    worker.ready_within = std::min(worker.ready_within * 4, kMaxReadyWithin);
    Replace(worker, WorkerRestart::kNotReady,
            worker.runs_iperf3 ? "it or iperf3 --help was too slow" : "too slow");
  } else if (worker.state == WorkerState::kBusy) {
    Replace(worker, WorkerRestart::kHung, "past its deadline");
  }
}

void WorkerPool::Replace(Worker& worker, WorkerRestart reason, const std::string& detail) {
  worker.timer.Stop();
  const bool was_ready = worker.state == WorkerState::kIdle || worker.state == WorkerState::kBusy;
  worker.socket_watch.reset();
  worker.exit_watch.reset();
  std::string end;
  const pid_t pid = worker.process ? worker.process->pid() : 0;
  if (worker.process) end = worker.process->KillAndReap();
  worker.process.reset();
  // Now, not on SIGCHLD: an orphan may hold the lock.
  SweepOrphans();
  if (!latest_ready_ && !latest_error_) {
    latest_error_ = {.message = settings_.path + " was not ready (" + detail + ", " + end +
                                "): is it the worker program, --worker.path?",
                     .is_transient = reason != WorkerRestart::kProtocol && MayStartNextTime(end)};
  }
  const bool has_new_lock = reason == WorkerRestart::kLockGone;
  if (has_new_lock || (was_ready && Clock::now() - worker.ready_since >= kHealthyAfter)) {
    worker.backoff = kFirstBackoff;
  }
  // Before a worker has been ready, whoever waits for one reports the error that ends the start.
  const bool is_reported = !latest_ready_ && (settings_.is_check || !latest_error_->is_transient);
  const LogLevel level = is_reported ? LogLevel::kDebug : LogLevel::kError;
  Log(has_new_lock ? LogLevel::kInfo : level, "worker replaced",
      {{"worker", std::to_string(worker.index)},
       {"pid", std::to_string(pid)},
       {"reason", Name(reason)},
       {"detail", detail},
       {"end", end}});
  const bool lost_job = worker.state == WorkerState::kBusy;
  worker.reports_lock_gone = false;
  // After kLockGone the worker restarts in the loop's next iteration: it counts as starting, and a
  // new probe waits for it.
  worker.state = has_new_lock ? WorkerState::kStarting : WorkerState::kDown;
  worker.timer.Start(has_new_lock ? nanoseconds(0) : nanoseconds(worker.backoff));
  if (!has_new_lock) worker.backoff = std::min<milliseconds>(worker.backoff * 2, kMaxBackoff);
  hooks_.on_restart(reason);
  if (!lost_job) return;
  hooks_.on_job_event(wire::Finished{
      worker.job.id,
      tl::unexpected(TestFailure{FailureReason::kWorkerLost,
                                 "the worker was replaced while it ran this probe: " + detail +
                                     (end.empty() ? "" : ", " + end)})});
}

bool WorkerPool::MayStartNextTime(std::string_view end) {
  // By us because it was slow, or by the kernel for lack of memory.
  if (end == "signal " + std::to_string(SIGKILL)) return true;
  return end.starts_with("signal") && ++crashes_at_start_ < kMaxCrashesAtStart;
}

void WorkerPool::SweepOrphans() {
  orphans_->Sweep([this](pid_t pid) { return IsWorker(pid); });
}

}  // namespace iperf3_exporter
