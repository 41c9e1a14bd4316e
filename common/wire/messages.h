// The messages between supervisor and worker. wire.h encodes them.
//
//   supervisor -> worker   WorkerConfig (once, first), Job (only when idle), Cancel
//   worker -> supervisor   WorkerReady or SetUpFailed (once, first); then for each Job
//                          NotStarted, or Started and Finished, or Finished
//                          alone if iperf3 could not be executed
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "common/iperf3/iperf3_description.h"
#include "common/iperf3/test_result.h"
#include "common/iperf3/traffic.h"
#include "common/sandbox_layer.h"
#include "common/wire/job.h"

namespace iperf3_exporter {

// All that a worker needs for its set-up.
struct WorkerConfig {
  std::string lock_name;  // already checked: [A-Za-z0-9._-], at most kMaxLockNameBytes
  LockScope lock_scope = LockScope::kNone;
  std::string iperf3_path;  // absolute
  SandboxMode sandbox = SandboxMode::kRequire;
  std::uint8_t log_level = 1;  // 0 debug, 1 info, 2 warn, 3 error
  bool log_json = false;
  // From a worker that inspected iperf3 at its start, before any test. Without it, or if the
  // program has changed since, the worker inspects iperf3 itself.
  std::optional<Iperf3Description> known_iperf3;

  bool operator==(const WorkerConfig&) const = default;
};

// The worker is set up and its sandbox is enabled.
struct WorkerReady {
  Iperf3Description iperf3;
  SandboxReport sandbox;

  bool operator==(const WorkerReady&) const = default;
};

namespace wire {

// The set-up failed; the worker exits.
struct SetUpFailed {
  std::string message;        // printable ASCII
  bool is_transient = false;  // Error::is_transient

  bool operator==(const SetUpFailed&) const = default;
};

// Cancels the running job. Ignored after the job has ended.
struct Cancel {
  bool operator==(const Cancel&) const = default;
};

// The worker holds the lock, and iperf3 is running.
struct Started {
  std::uint64_t job_id = 0;
  std::uint32_t period_seconds = 0;  // actual, at most the job's
  std::chrono::nanoseconds lock_wait{0};
  bool recovered_lock = false;  // the previous holder died while it held the lock

  bool operator==(const Started&) const = default;
};

// The test has ended. Follows Started, unless iperf3 could not be executed.
struct Finished {
  std::uint64_t job_id = 0;
  TestResult result;
  std::optional<Traffic> traffic;  // of this test; nullopt: unknown

  bool operator==(const Finished&) const = default;
};

// iperf3 was not started, for a reason other than the test itself.
struct NotStarted {
  enum class Reason : std::uint8_t {
    kLockTimeout,  // the lock was not acquired in time
    kLockGone,     // the lock's files were deleted
    kCancelled,
    kNoTime,  // less than one second of test was left when the lock was acquired
  };
  std::uint64_t job_id = 0;
  Reason reason = Reason::kLockTimeout;

  bool operator==(const NotStarted&) const = default;
};

using Command = std::variant<WorkerConfig, Job, Cancel>;
using Event = std::variant<WorkerReady, SetUpFailed, Started, Finished, NotStarted>;

}  // namespace wire
}  // namespace iperf3_exporter
