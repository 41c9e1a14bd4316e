// What the supervisor asks of a worker and what it gets back, as values. wire.h
// carries them; both programs use these types inside.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/deadline.h"
#include "common/wire/failure_reason.h"
#include "common/wire/measurement.h"
#include "common/wire/sandbox_layer.h"

namespace iperf3_exporter {

// A numeric address. Names never reach a worker.
struct IpAddress {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; an IPv4 address uses the first 4
  std::uint32_t scope_id = 0;            // interface index of a link-local IPv6 address, else 0

  bool operator==(const IpAddress&) const = default;
};

// Text as inet_ntop gives it, with %interface-index for a scope.
[[nodiscard]] std::string ToString(const IpAddress& address);

// A numeric IPv4 or IPv6 address (no brackets; a zone as index or interface name).
[[nodiscard]] std::optional<IpAddress> ParseIpAddress(const std::string& text);

enum class Protocol : std::uint8_t { kTcp, kUdp };
enum class Direction : std::uint8_t { kUpload, kDownload, kBidirectional };

// The options of one iperf3 run. Everything is typed and bounded; iperf3's argv is
// built from this alone.
struct TestOptions {
  Protocol protocol = Protocol::kTcp;
  Direction direction = Direction::kUpload;
  std::uint32_t period_seconds = 5;
  std::uint32_t parallel = 1;
  std::uint32_t omit_seconds = 0;
  std::optional<std::uint64_t> bitrate_bits_per_second;  // 0 means unlimited; absent: iperf3's own
  std::optional<std::uint32_t> burst_packets;
  std::optional<std::uint64_t> window_bytes;
  std::optional<std::uint32_t> mss_bytes;
  std::optional<std::uint32_t> length_bytes;
  std::optional<std::uint32_t> dscp;         // 0 to 63
  std::optional<std::uint16_t> client_port;  // --cport
  std::optional<IpAddress> bind_address;
  std::string bind_device;  // interface name, at most 15 bytes; empty: none
  std::string congestion;   // algorithm, at most 15 bytes of [a-z0-9_-]; empty: the system's
  bool no_delay = false;
  bool zerocopy = false;

  bool operator==(const TestOptions&) const = default;
};

// The longest `target` that a request may name (RFC 1035: 253 bytes of host name).
inline constexpr std::size_t kMaxTargetBytes = 253;
inline constexpr std::size_t kMaxLockNameBytes = 64;
inline constexpr std::size_t kMaxErrorTextBytes = 512;
inline constexpr std::size_t kMaxVersionTextBytes = 64;
inline constexpr std::size_t kMaxPathBytes = 1024;

// A lock slot of the job; kNoLock with scope `none`.
inline constexpr std::uint32_t kNoLock = UINT32_MAX;

// What a test takes beyond its seconds: starting iperf3, connecting, exchanging the
// parameters and results. A period fits when it and this are left before the deadline.
inline constexpr std::chrono::milliseconds kTestOverhead{300};
// A period that has to be cut is cut to what leaves this much, if a second of test is left then:
// all that is exchanged takes six round trips, which on a far path are most of a second.
inline constexpr std::chrono::milliseconds kFarTestOverhead{1000};

struct Job {
  std::uint64_t id = 0;
  std::string target;  // as asked for; for the lock's board only
  IpAddress address;   // where iperf3 connects to
  std::uint16_t port = 5201;
  TestOptions test;
  std::chrono::milliseconds connect_timeout{5000};  // iperf3's --connect-timeout
  std::uint32_t lock_slot = kNoLock;
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

// What the installed iperf3 knows, by the options its help text names.
struct Iperf3Capabilities {
  bool bidirectional = false;  // --bidir, 3.7
  bool bind_device = false;    // --bind-dev, 3.10
  bool dscp = false;           // --dscp
  bool connect_timeout = false;
  bool zerocopy = false;
  bool congestion = false;
  bool client_port = false;

  bool operator==(const Iperf3Capabilities&) const = default;
};

enum class SandboxMode : std::uint8_t { kRequire, kBestEffort, kDiagnose };

// The first message to a worker: everything it needs to set itself up.
struct WorkerConfig {
  std::string lock_name;         // already checked: [A-Za-z0-9._-], at most kMaxLockNameBytes
  std::uint32_t lock_slots = 0;  // 0 with scope `none`
  std::string iperf3_path;       // absolute
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
