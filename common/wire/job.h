// A test that the supervisor assigns to a worker.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/deadline.h"
#include "common/iperf3/test_options.h"
#include "common/lock/lock_key.h"
#include "common/net/host.h"
#include "common/net/ip_address.h"
#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// The worker's deadlines. supervisor/probe/probe_timing.h computes them and has the reasons.
struct JobTimes {
  Deadline lock_by;         // the wait for the lock ends
  Deadline start_by;        // the latest start of a test of one second
  Deadline whole_start_by;  // the latest start of a test of the whole period
  Deadline cut_end_by;      // the latest end of a test that starts later
  Deadline terminate_at;    // SIGTERM for iperf3
  Deadline kill_at;         // SIGKILL for iperf3
  // A test with `bytes` gets SIGTERM this long after its period at the latest.
  std::chrono::nanoseconds bytes_overhead{0};

  bool operator==(const JobTimes&) const = default;
};

struct Job {
  std::uint64_t id = 0;
  std::string target;  // as requested; for the lock's holder table only
  IpAddress address;   // that iperf3 connects to
  std::uint16_t port = 5201;
  TestOptions test;
  std::chrono::milliseconds connect_timeout{5000};  // iperf3's --connect-timeout
  LockKey lock_key = kNoLock;                       // kNoLock with scope `none`
  JobTimes times;

  bool operator==(const Job&) const = default;
};

}  // namespace iperf3_exporter
