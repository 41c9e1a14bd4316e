// The workers: spawned, configured, given one job at a time, watched, replaced. All on the
// loop's thread.
//
// A worker that dies, hangs or breaks the protocol costs no more than the job it had, which
// then fails with worker_lost, and is replaced after a growing delay (100 ms to 30 s; back to
// 100 ms after a healthy minute). A breach is never repaired: kill and replace. Whatever a
// worker had started ends with it: from Start to Stop every child of this process that
// is no worker is killed.
//
// Only the first worker runs iperf3 to find out its version and options. The others get what it
// reports, unless the program's file has changed. A worker reports before it has run any test, so no
// peer of a test has had influence on what it says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/wire/wire.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/workers/orphan_reaper.h"
#include "supervisor/workers/worker_process.h"
#include "supervisor/workers/worker_state.h"

namespace iperf3_exporter {

// What happens to a job: nothing or Started; then, once, NotStarted or Finished.
using JobEvent = std::variant<wire::Started, wire::NotStarted, wire::Finished>;

class WorkerPool {
 public:
  struct Settings {
    std::string path;
    std::uint32_t count = 4;
    WorkerConfig config;  // its index is set for each worker
  };

  // All are called from the loop, as the last step of a callback, and may call any method of the
  // pool; but on_restart is called from inside the pool and must not.
  struct Hooks {
    std::function<void()> on_idle;  // a worker became free or ready
    std::function<void(const JobEvent&)> on_job_event;
    std::function<void(WorkerRestart)> on_restart;
    // A worker reports that the lock's files are gone. The owner checks that, and calls
    // OnLockRecreated or OnLockIntact; until then that worker's job is not over.
    std::function<void()> on_lock_gone;
  };

  WorkerPool(event_base* base, Settings settings, Hooks hooks);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Spawns the first worker, and the others once it is ready; handles SIGCHLD until Stop. Fails when
  // the program can't be started.
  [[nodiscard]] Status Start();

  // Hands `job` to an idle worker. A worker that has not ended it at `give_up_at` is killed. False
  // when no worker is idle; then nothing is called for this job.
  [[nodiscard]] bool TryRun(const Job& job, Deadline give_up_at);

  // Asks for an early end of a running job. Its events still come; a worker that has not ended it
  // at `give_up_at` is killed.
  void Cancel(std::uint64_t job_id, Deadline give_up_at);

  // The lock's files were created again: replaces every worker, idle ones now, busy ones after
  // their job.
  void OnLockRecreated();
  // The lock's files are all there: a worker that reported otherwise broke the protocol.
  void OnLockIntact();

  // Lets every worker end by itself, for 700 ms, then kills those that are left; starts no
  // more, calls no hook. Nothing that they started is left. Blocks for 900 ms at the most.
  void Stop();

  [[nodiscard]] std::size_t CountIn(WorkerState state) const;
  [[nodiscard]] bool AnyAlive() const;  // idle or busy

  // The weakest of the living workers' sandboxes: a layer is enabled when it is enabled in all of
  // them. Empty while none is alive.
  [[nodiscard]] std::optional<SandboxReport> WeakestSandbox() const;

  // What the latest ready worker reported of iperf3 and its sandbox; nullptr before the first.
  [[nodiscard]] const WorkerReady* latest_ready() const {
    return latest_ready_ ? &*latest_ready_ : nullptr;
  }
  // Why the latest worker could not work, or why none has been ready yet; empty when one works.
  [[nodiscard]] const std::string& latest_error() const { return latest_error_; }

 private:
  struct Slot;

  [[nodiscard]] Status SpawnInto(Slot& slot);
  void StartOthers();
  // Handles one message. False when there was none.
  [[nodiscard]] bool OnReadable(Slot& slot);
  void OnExit(Slot& slot);
  void OnTimeout(Slot& slot);

  // One for each message of a worker. False: it must not come now, or can't be true.
  [[nodiscard]] bool Handle(Slot& slot, WorkerReady& ready);
  [[nodiscard]] bool Handle(Slot& slot, wire::SetUpFailed& failed);
  [[nodiscard]] bool Handle(Slot& slot, wire::Started& started);
  [[nodiscard]] bool Handle(Slot& slot, wire::Finished& finished);
  [[nodiscard]] bool Handle(Slot& slot, wire::NotStarted& not_started);

  void EndJob(Slot& slot, const JobEvent& event);
  void Replace(Slot& slot, WorkerRestart reason, const std::string& why);
  [[nodiscard]] bool IsWorker(pid_t pid) const;
  void SweepOrphans();

  event_base* base_;
  Settings settings_;
  Hooks hooks_;
  std::optional<OrphanReaper> orphans_;  // from Start on
  std::unique_ptr<SignalWatch> death_watch_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::optional<WorkerReady> latest_ready_;
  std::string latest_error_;
  // Each calls its hook at the loop's next turn.
  Timer idle_;
  Timer lock_gone_;
  wire::Frame receive_buffer_;
};

}  // namespace iperf3_exporter
