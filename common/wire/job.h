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

// The worker's deadlines. supervisor/probe/probe_timing.cc computes and explains them.
struct JobTimes {
  Deadline lock_by;        // the wait for the lock ends
  Deadline start_by;       // the latest start of a test of one second
  Deadline full_start_by;  // the latest start of a test of the full period
  // A test that starts later gets as many whole seconds as there are to this moment, one at least.
  // Omitted seconds and the overhead have been subtracted.
  Deadline cut_end_by;
  Deadline terminate_at;  // SIGTERM for iperf3
  Deadline kill_at;       // SIGKILL for iperf3
  // A test with `bytes` gets SIGTERM this long after its period at the latest.
  std::chrono::nanoseconds bytes_overhead{0};

  bool operator==(const JobTimes&) const = default;
};

struct Job {
  std::uint64_t id = 0;
  std::string target;  // as requested; for the lock's holder table only
  IpAddress address;   // to which iperf3 connects
  std::uint16_t port = 5201;
  TestOptions test;
  std::chrono::milliseconds connect_timeout{5000};  // iperf3's --connect-timeout
  LockKey lock_key = kNoLock;                       // kNoLock if the scope is `none`
  JobTimes times;

  bool operator==(const Job&) const = default;
};

}  // namespace iperf3_exporter
