// The history of one probe and what is left of its budget: addresses, waits, tests, time. The
// caller passes the current time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "common/deadline.h"
#include "common/iperf3/test_result.h"
#include "common/logging.h"
#include "common/wire/messages.h"
#include "supervisor/config/options.h"
#include "supervisor/probe/probe_request.h"
#include "supervisor/probe/resolver.h"
#include "supervisor/results/probe_report.h"
#include "supervisor/results/result_store.h"
#include "supervisor/results/test_key.h"

namespace iperf3_exporter {

class ProbeProgress {
 public:
  ProbeProgress(ProbeRequest request, TimePoint received, Deadline deadline);

  [[nodiscard]] const ProbeRequest& request() const { return request_; }
  [[nodiscard]] Deadline deadline() const { return deadline_; }
  // The last moment at which one second of test still fits.
  [[nodiscard]] Deadline last_start() const { return last_start_; }

  // Of the next or latest test.
  [[nodiscard]] std::uint16_t port() const { return request_.ports[next_port_]; }

  // Not empty; the first is tried first.
  void SetCandidates(std::vector<AddressPair> candidates) { candidates_ = std::move(candidates); }

  // Begins to wait for the lock of the pair to be tried, no longer than what earlier waits have
  // left of `lock_timeout`. With nothing left, a free lock may still be acquired.
  void BeginWait(TimePoint now, LockScope scope, std::chrono::nanoseconds lock_timeout);
  // Begins to wait for the test of another probe. If this probe then needs one of its own, that was
  // a wait for the lock.
  void BeginJoin(TimePoint now) { queued_ = now; }
  void EndWait(TimePoint now) { lock_wait_ += now - queued_; }
  // Of the latest wait: the lock (kNoLock: none, or no wait yet), its start and its deadline.
  [[nodiscard]] LockKey lock_key() const { return lock_key_; }
  [[nodiscard]] TimePoint queued() const { return queued_; }
  [[nodiscard]] Deadline queue_deadline() const { return queue_deadline_; }
  [[nodiscard]] std::chrono::nanoseconds lock_wait() const { return lock_wait_; }

  // One line for the client: which limit ended the latest wait for a lock.
  [[nodiscard]] std::string LockTimeoutText(std::chrono::nanoseconds lock_timeout) const;

  // The test of the pair to be tried, handed to a worker at `now`. It does not start before
  // `not_before`.
  [[nodiscard]] Job BuildJob(std::uint64_t id, TimePoint now, Deadline not_before = {});
  // The worker's reports of that job: OnNotStarted, or OnFinished with or without OnStarted before.
  void OnStarted(const wire::Started& started, TimePoint now);
  void OnNotStarted(TimePoint now);
  void OnFinished(const wire::Finished& finished, TimePoint now);

  // After a failed test: selects the next candidate and returns how long to pause before its test;
  // zero: the next port or address, at once. Empty if the failure is final or no time is left.
  // While servers are busy or refuse, each port is tried once. A busy server with one port is tried
  // once more if time is left; then, if `retries` is not 0, until no time is left. A server that
  // refuses the connection is tried again `retries` times.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> PlanRetry(TimePoint now,
                                                                  std::uint32_t retries,
                                                                  std::minstd_rand& random);

  // A hash of the destination and port of the pair to be tried: the server.
  [[nodiscard]] LockKey HashServer() const { return LockKeyFor(LockScope::kTarget); }

  // Of the last test that was tried and failed.
  [[nodiscard]] const std::optional<TestFailure>& last_failure() const { return last_failure_; }

  // For log lines: target, port, module, own test.
  [[nodiscard]] std::vector<LogField> LogFields() const;

  // Of all tests that were tried so far, as their workers reported it, but at least what the
  // measurement of a test says, and no more than any link carries in its time. nullopt if it is not
  // known of one of them.
  [[nodiscard]] const std::optional<Traffic>& traffic() const { return traffic_; }

  [[nodiscard]] ProbeReport BuildReport(TestResult result, TimePoint now) const;

  // What makes another test equal to that of this probe.
  [[nodiscard]] TestKey BuildKey() const;
  // Whether a test was tried for this probe.
  [[nodiscard]] bool WasTried() const { return attempts_ > 0; }
  // Of the last test that was tried. `report` is that of BuildReport.
  [[nodiscard]] StoredResult BuildResult(ProbeReport report) const;
  // Whether the result of an equal test is as good as that of a test that starts `now`. It is not
  // if the deadline of its request cut its period or ended it, and that of this probe allows more.
  [[nodiscard]] bool Accepts(const StoredResult& result, TimePoint now) const;
  // The report of an equal test, as the answer to this probe's request.
  [[nodiscard]] ProbeReport Adopt(ProbeReport report, TimePoint now) const;

 private:
  [[nodiscard]] LockKey LockKeyFor(LockScope scope) const;

  ProbeRequest request_;
  TimePoint received_;
  Deadline deadline_;
  Deadline last_start_;
  std::vector<AddressPair> candidates_;
  std::size_t next_candidate_ = 0;
  std::size_t next_port_ = 0;
  LockKey lock_key_ = kNoLock;
  TimePoint queued_;
  Deadline queue_deadline_;
  TimePoint handed_over_;
  TimePoint began_;  // the last test that was tried
  std::chrono::nanoseconds lock_wait_{0};
  bool started_ = false;              // the latest job
  std::uint32_t period_seconds_ = 0;  // of the last test that was tried
  std::uint32_t attempts_ = 0;
  bool first_busy_retry_done_ = false;
  std::uint32_t busy_retries_ = 0;
  std::uint32_t retries_ = 0;  // of a server that refused the connection
  std::optional<TestFailure> last_failure_;
  std::optional<Traffic> traffic_ = Traffic{};
};

}  // namespace iperf3_exporter
