// A test that the supervisor assigns to a worker.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/deadline.h"
#include "common/iperf3/test_credentials.h"
#include "common/iperf3/test_options.h"
#include "common/lock/lock_key.h"
#include "common/net/host.h"
#include "common/net/ip_address.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// The worker's deadlines. supervisor/probe/probe_timing.cc computes and explains them.
struct JobTimes {
  Deadline lock_by;     // the latest moment to acquire the lock
  Deadline not_before;  // the server needs a pause after its last test
  Deadline start_by;    // the latest start of a test of one second
  // The period is cut to the whole seconds from the start to this moment, but not below one. This
  // is the deadline minus the omitted seconds and an overhead.
  Deadline end_by;
  Deadline terminate_at;  // SIGTERM for iperf3
  Deadline kill_at;       // SIGKILL for iperf3
  // SIGTERM comes this long after the omitted seconds and the period, or at terminate_at if that is
  // earlier: a silent server must not hold the lock for a whole scrape.
  std::chrono::nanoseconds max_overhead{0};

  bool operator==(const JobTimes&) const = default;
};

// The minimum of iperf3's --connect-timeout, however little time is left.
inline constexpr std::chrono::milliseconds kMinConnectTimeout{100};

struct Job {
  std::uint64_t id = 0;
  std::string target;  // as requested; for the lock's holder table only
  IpAddress address;   // the address that iperf3 connects to
  std::uint16_t port = 5201;
  TestOptions test;
  std::optional<TestCredentials> credentials;       // of iperf3's own authentication
  std::chrono::milliseconds connect_timeout{5000};  // iperf3's --connect-timeout, at most
  LockKey lock_key = kNoLock;                       // kNoLock if the scope is `none`
  JobTimes times;

  bool operator==(const Job&) const = default;
};

}  // namespace iperf3_exporter
