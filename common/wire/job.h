// One test as the supervisor hands it to a worker.
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

// When the worker has to do what. The supervisor computes all of it in one place
// (supervisor/probe/probe_timing.h, which has the reasons).
struct JobTimes {
  Deadline lock_by;         // then the wait for the lock ends
  Deadline start_by;        // the last moment at which one second of test still fits
  Deadline whole_start_by;  // the last moment at which the whole period still fits
  Deadline cut_end_by;      // when a test that starts later has to have ended
  Deadline terminate_at;    // then iperf3 gets SIGTERM
  Deadline kill_at;         // then iperf3 gets SIGKILL
  // A test that ends by its bytes gets SIGTERM so long after its period at the latest.
  std::chrono::nanoseconds bytes_overhead{0};

  bool operator==(const JobTimes&) const = default;
};

struct Job {
  std::uint64_t id = 0;
  std::string target;  // as asked for; for the lock's holder table only
  IpAddress address;   // where iperf3 connects to
  std::uint16_t port = 5201;
  TestOptions test;
  std::chrono::milliseconds connect_timeout{5000};  // iperf3's --connect-timeout
  LockKey lock_key = kNoLock;                       // kNoLock with scope `none`
  JobTimes times;

  bool operator==(const Job&) const = default;
};

}  // namespace iperf3_exporter
