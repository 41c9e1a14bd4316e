// The workers: started, greeted, given one job at a time, watched, replaced. All on the
// loop's thread.
//
// A worker that dies, hangs or breaks the protocol costs at most the job it had, which
// then fails with worker_lost, and is replaced with a growing delay (100 ms to 30 s; back to
// 100 ms after a healthy minute). A breach is never repaired: kill and replace. Whatever a
// worker had started ends with it, so from Start to Stop every child of this process that
// is no worker is killed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/wire/job.h"
#include "common/wire/wire.h"
#include "supervisor/exposition/exporter_metrics.h"
#include "supervisor/loop/event_loop.h"
#include "supervisor/workers/orphan_reaper.h"
#include "supervisor/workers/worker_process.h"

namespace iperf3_exporter {

class WorkerPool {
 public:
  using Done = std::function<void(const JobResult&)>;

  struct Settings {
    std::string path;
    std::uint32_t count = 4;
    WorkerConfig config;  // its index is set for each worker
  };

  // What the pool tells and asks its owner, on the loop; on_restart and renew_lock also from inside
  // a pool call, so they start no job.
  struct Hooks {
    std::function<void()> on_idle;  // a worker became free or ready
    std::function<void(WorkerRestart)> on_restart;
    // A worker says that the lock's object is gone. Renews it, and the workers, and gives true; or
    // false: nothing is gone, so that this worker broke the protocol. The one that may call Renew.
    std::function<bool()> renew_lock;
  };

  WorkerPool(event_base* base, Settings settings, Hooks hooks);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Spawns all workers, and handles SIGCHLD until Stop. They report ready later. Fails when the
  // program can't be started.
  [[nodiscard]] Status Start();

  // Hands `job` to an idle worker; `done` is called once, later, with its result, or with
  // worker_lost. False when no worker is idle; then `done` is dropped.
  [[nodiscard]] bool TryRun(const Job& job, Done done);

  // Asks for an early end of a running job. `done` is still called, within a second.
  void Cancel(std::uint64_t job_id);

  // Replaces every worker: idle ones now, busy ones after their job.
  void Renew();

  // Lets every worker end by itself, for 700 ms, then kills those that are left; starts no
  // more, calls no `done`. Nothing that they started is left. Blocks for 900 ms at the most.
  void Stop();

  [[nodiscard]] std::size_t CountIn(WorkerState state) const;
  [[nodiscard]] bool AnyAlive() const;  // idle or busy

  // The weakest of what the living workers said of their sandboxes: a layer is in force when it is
  // in all of them. Nothing while none is alive.
  [[nodiscard]] std::optional<SandboxReport> WeakestSandbox() const;

  // What the latest ready worker said of iperf3 and its sandbox; nullptr before the first.
  [[nodiscard]] const WorkerReady* latest_ready() const {
    return latest_ready_ ? &*latest_ready_ : nullptr;
  }
  // Why the latest worker could not work, or why none has been ready yet; empty when one works.
  [[nodiscard]] const std::string& latest_error() const { return latest_error_; }

 private:
  struct Slot;

  [[nodiscard]] Status SpawnInto(Slot& slot);
  void OnReadable(Slot& slot);
  void OnExit(Slot& slot);
  void OnEvent(Slot& slot, wire::Event event);
  [[nodiscard]] bool TrulyGone(const Slot& slot);
  void OnReady(Slot& slot, WorkerReady ready);
  void OnResult(Slot& slot, const JobResult& result);
  void OnLimit(Slot& slot);
  void Replace(Slot& slot, WorkerRestart reason, const std::string& why);
  void FailJob(Slot& slot);
  void TellIdle();
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
  Timer idle_timer_;  // runs on_idle from the loop
  wire::Frame receive_buffer_;
};

}  // namespace iperf3_exporter
