// What one probe has been through and what is left for it: its addresses, its waits, its tests,
// its time. Pure: whoever calls says what time it is.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "common/deadline.h"
#include "common/wire/job.h"
#include "supervisor/config/options.h"
#include "supervisor/exposition/probe_exposition.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/resolver.h"

namespace iperf3_exporter {

struct TestFailure {
  FailureReason reason = FailureReason::kWorkerLost;
  std::string text;  // for the log
  std::uint32_t period_seconds = 0;
};

class ProbeProgress {
 public:
  ProbeProgress(ProbeRequest request, Deadline received, Deadline deadline);

  [[nodiscard]] const ProbeRequest& request() const { return request_; }
  [[nodiscard]] Deadline received() const { return received_; }
  [[nodiscard]] Deadline deadline() const { return deadline_; }
  // The last moment at which one second of test still fits.
  [[nodiscard]] Deadline last_start() const;

  // At least one; the first is tried first.
  void SetPaths(std::vector<TargetPath> paths) { paths_ = std::move(paths); }

  // Begins to wait for the lock of the path to be tried, no longer than what earlier waits have
  // left of `lock_timeout`. A budget that is used up still allows a lock that is free.
  void BeginWait(Deadline now, LockScope scope, std::chrono::nanoseconds lock_timeout);
  void EndWait(Deadline now) { lock_wait_ += now - queued_; }
  // Of the wait that was begun last: the lock it is for (kNoLock: none, or none begun yet), since
  // when, and until when.
  [[nodiscard]] LockKey lock_key() const { return lock_key_; }
  [[nodiscard]] Deadline queued() const { return queued_; }
  [[nodiscard]] Deadline leave_queue() const { return leave_queue_; }
  [[nodiscard]] std::chrono::nanoseconds lock_wait() const { return lock_wait_; }

  // The test of the path to be tried, given to a worker at `now`.
  [[nodiscard]] Job BuildJob(std::uint64_t id, Deadline now);
  // A worker gave the job back.
  void EndJob(const JobResult& result, Deadline now);

  // After a failed test: how long to pause before the next one (zero: at once, to the next
  // address), which is the path to be tried from now on. Nothing when that failure is final or
  // the time is over.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> NextTry(Deadline now, std::uint32_t retries,
                                                                std::minstd_rand& random);

  // Of the last test that was tried and failed; a probe that has one is answered with it.
  [[nodiscard]] const std::optional<TestFailure>& last_failure() const { return last_failure_; }

  // All but how it ended.
  [[nodiscard]] ProbeOutcome Outcome(Deadline now) const;

 private:
  [[nodiscard]] LockKey KeyIn(LockScope scope) const;

  ProbeRequest request_;
  Deadline received_;
  Deadline deadline_;
  std::vector<TargetPath> paths_;
  std::size_t next_path_ = 0;
  LockKey lock_key_ = kNoLock;
  Deadline queued_;
  Deadline leave_queue_;
  Deadline handed_over_;
  std::chrono::nanoseconds lock_wait_{0};
  std::uint32_t attempts_ = 0;
  std::uint32_t retries_ = 0;
  std::optional<TestFailure> last_failure_;
};

// The paths that a request may take, in order; empty when the family asked for has none; nullopt
// when no address of the target is allowed.
[[nodiscard]] std::optional<std::vector<TargetPath>> AllowedPaths(const ProbeRequest& request,
                                                                  const Resolved& resolved,
                                                                  const TargetPolicy& policy);

// Whether iperf3 was started for that job, or may have been.
[[nodiscard]] bool WasTried(const JobResult& result);

}  // namespace iperf3_exporter
