// Spawns, configures, watches and replaces the workers and gives each one job at a time. Loop
// thread only.
//
// A worker that dies, hangs or breaks the protocol fails only its job, with worker_lost, and is
// replaced after a growing delay (100 ms to 30 s; 100 ms again after a healthy minute). One that is
// not ready in time (5 s, after a failure more) is replaced too. A breach of the protocol is never
// repaired: kill and replace. From Start to Stop every child of this process that is not a worker
// is killed.
//
// Only the first worker runs iperf3 to find out its version and options. The others get its report,
// unless the program's file has changed. A worker reports before its first test, so no peer can
// influence the report.
//
// A worker that can't start iperf3, perhaps because a limit of tasks is reached, is replaced as
// well. Its successor runs iperf3 itself before it is ready, which shows when tests work again
// although nobody asks for one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/wire/wire.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/workers/orphan_reaper.h"
#include "supervisor/workers/worker_process.h"
#include "supervisor/workers/worker_state.h"

namespace iperf3_exporter {

// The events of a job: NotStarted, or Finished with or without Started before it.
using JobEvent = std::variant<wire::Started, wire::NotStarted, wire::Finished>;

class WorkerPool {
 public:
  struct Settings {
    std::string path;
    std::uint32_t count = 4;
    WorkerConfig config;
    bool is_check = false;  // the first failure ends the start, whether it may pass or not
  };

  // Called from the loop as the last step of a callback. They may call any method of the pool,
  // except on_restart, which is called inside the pool.
  struct Hooks {
    std::function<void()> on_idle;  // a worker became free or ready
    std::function<void(const JobEvent&)> on_job_event;
    std::function<void(WorkerRestart)> on_restart;
    // A worker reports that the lock's files are gone. The owner checks that and calls
    // OnLockChanged or OnLockIntact; until then that worker's job has not ended.
    std::function<void()> on_lock_gone;
  };

  WorkerPool(event_base* base, Settings settings, Hooks hooks);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Spawns the first worker, and the others once it is ready. Handles SIGCHLD until Stop. Fails if
  // the program can't be started.
  [[nodiscard]] Status Start();

  // Hands `job` to an idle worker. A worker that has not ended it at `worker_kill_at` is killed.
  // Returns false if no worker is idle; then there is no event of this job.
  [[nodiscard]] bool TryRun(const Job& job, Deadline worker_kill_at);

  // Cancels a running job. Its events still arrive; a worker that has not ended it at
  // `worker_kill_at` is killed.
  void Cancel(std::uint64_t job_id, Deadline worker_kill_at);

  // The lock's files were deleted or changed, and perhaps created again: replaces every worker,
  // busy ones after their job.
  void OnLockChanged();
  // The lock's files exist: a worker that reported otherwise broke the protocol.
  void OnLockIntact();

  // Closes the workers' sockets, so that they exit, and kills those that are left after 700 ms,
  // with everything that they have started. Calls no hook. Blocks for at most 900 ms.
  void Stop();

  [[nodiscard]] std::size_t CountIn(WorkerState state) const;
  [[nodiscard]] bool AnyAlive() const;  // idle or busy

  // The minimum of the living workers' sandboxes: a layer is enabled if it is enabled in all of
  // them. Empty while none is alive.
  [[nodiscard]] std::optional<SandboxReport> WeakestSandbox() const;

  // The latest report of a ready worker; nullptr before the first.
  [[nodiscard]] const WorkerReady* latest_ready() const {
    return latest_ready_ ? &*latest_ready_ : nullptr;
  }
  // Why the latest worker could not work, or why none has been ready; nullopt if one is, or while
  // the next one starts. Error::is_transient tells whether that one may become ready.
  [[nodiscard]] const std::optional<Error>& latest_error() const { return latest_error_; }
  // Why no test can be run: no worker is alive, or iperf3 could not be started. Empty if tests can
  // run, as far as is known. Printable.
  [[nodiscard]] std::string NoTestText() const;
  // "no worker is alive", and latest_error() if there is one.
  [[nodiscard]] std::string NoWorkerText() const {
    return "no worker is alive" + (latest_error_ ? ": " + latest_error_->message : "");
  }

 private:
  struct Worker;

  [[nodiscard]] Status Spawn(Worker& worker);
  void StartOthers();
  // Handles one message. Returns false if there was none.
  [[nodiscard]] bool OnReadable(Worker& worker);
  void OnExit(Worker& worker);
  void OnTimeout(Worker& worker);

  // Return false if the message is not allowed now, or can't be true.
  [[nodiscard]] bool Handle(Worker& worker, WorkerReady& ready);
  [[nodiscard]] bool Handle(Worker& worker, wire::SetUpFailed& failed);
  [[nodiscard]] bool Handle(Worker& worker, wire::Started& started);
  [[nodiscard]] bool Handle(Worker& worker, wire::Finished& finished);
  [[nodiscard]] bool Handle(Worker& worker, wire::NotStarted& not_started);

  void EndJob(Worker& worker, const JobEvent& event);
  void Replace(Worker& worker, WorkerRestart reason, const std::string& detail);
  // Whether a worker may become ready although the latest one ended like this (WorkerProcess::
  // KillAndReap) before it was.
  [[nodiscard]] bool MayStartNextTime(std::string_view end);
  [[nodiscard]] bool IsWorker(pid_t pid) const;
  void SweepOrphans();

  event_base* base_;
  Settings settings_;
  Hooks hooks_;
  std::optional<OrphanReaper> orphans_;  // from Start on
  std::unique_ptr<SignalWatch> death_watch_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<WorkerReady> latest_ready_;
  std::optional<Error> latest_error_;
  int crashes_at_start_ = 0;
  std::string iperf3_error_;  // of the latest attempt to start iperf3; empty if it succeeded
  // Each calls its hook in the loop's next iteration.
  Timer idle_;
  Timer lock_gone_;
  wire::Frame receive_buffer_;
};

}  // namespace iperf3_exporter
