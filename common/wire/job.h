// What the supervisor asks of a worker and what it gets back, as values. wire.h
// carries them; both programs use these types inside.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/deadline.h"
#include "common/iperf3/failure_reason.h"
#include "common/iperf3/measurement.h"
#include "common/iperf3/option_table.h"
#include "common/lock/lock_key.h"
#include "common/net/host.h"
#include "common/net/ip_address.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

inline constexpr std::size_t kMaxErrorTextBytes = 512;
inline constexpr std::size_t kMaxVersionTextBytes = 64;
inline constexpr std::size_t kMaxPathBytes = 1024;

// What a test takes beyond its seconds: starting iperf3, connecting, exchanging the
// parameters and results. A period fits when it and this are left before the deadline.
inline constexpr std::chrono::milliseconds kTestOverhead{300};
// A period that has to be cut is cut to what leaves this much, if a second of test is left then:
// all that is exchanged takes six round trips, which on a far path are most of a second.
inline constexpr std::chrono::milliseconds kFarTestOverhead{1000};

struct Job {
  std::uint64_t id = 0;
  std::string target;  // as asked for; for the lock's holder table only
  IpAddress address;   // where iperf3 connects to
  std::uint16_t port = 5201;
  TestOptions test;
  std::chrono::milliseconds connect_timeout{5000};  // iperf3's --connect-timeout
  LockKey lock_key = kNoLock;  // kNoLock with scope `none`
  Deadline deadline;       // end of everything, the answer included
  Deadline lock_deadline;  // longest wait for the lock; never after `deadline`

  bool operator==(const Job&) const = default;
};

enum class JobOutcome : std::uint8_t {
  kSucceeded,    // the measurement is valid
  kFailed,       // a test was tried and failed: see reason
  kLockTimeout,  // the lock was not had in time; nothing was tried
  kLockGone,     // the lock's object was deleted under us; nothing was tried
};

struct JobResult {
  std::uint64_t job_id = 0;
  JobOutcome outcome = JobOutcome::kFailed;
  FailureReason reason = FailureReason::kWorkerLost;  // only with kFailed
  Measurement measurement;                            // only with kSucceeded
  std::uint32_t period_seconds = 0;                   // as run; 0 when iperf3 was not started
  std::chrono::nanoseconds lock_wait{0};
  std::chrono::nanoseconds run_time{0};  // from starting iperf3 to having reaped it
  bool recovered_lock = false;           // the previous holder had died holding it
  std::string error_text;                // iperf3's words, for the log only; raw bytes, cut

  bool operator==(const JobResult&) const = default;
};

enum class SandboxMode : std::uint8_t { kRequire, kBestEffort, kDiagnose };

// The first message to a worker: everything it needs to set itself up.
struct WorkerConfig {
  std::string lock_name;  // already checked: [A-Za-z0-9._-], at most kMaxLockNameBytes
  LockScope lock_scope = LockScope::kNone;
  std::string iperf3_path;  // absolute
  SandboxMode sandbox = SandboxMode::kRequire;
  std::uint8_t log_level = 1;  // 0 debug, 1 info, 2 warn, 3 error
  bool log_json = false;
  std::uint32_t index = 0;  // of the worker, from 0

  bool operator==(const WorkerConfig&) const = default;
};

// The worker's answer to WorkerConfig, once its sandbox stands.
struct WorkerReady {
  std::string iperf3_version;  // "3.12"
  Iperf3Capabilities capabilities;
  SandboxReport sandbox;
  std::string error;  // not empty: the worker can't work and will exit; why

  bool operator==(const WorkerReady&) const = default;
};

}  // namespace iperf3_exporter
