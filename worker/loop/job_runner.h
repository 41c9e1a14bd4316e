// One job from the lock to the result.
#pragma once

#include "common/lock/host_lock.h"
#include "common/wire/job.h"
#include "worker/iperf3/report_parser.h"
#include "worker/loop/supervisor_link.h"
#include "worker/process/iperf3_process.h"

namespace iperf3_exporter {

class JobRunner {
 public:
  // Borrows all but the capabilities. `host_lock` may be nullptr: scope `none`.
  JobRunner(HostLock* host_lock, Iperf3Process& process, SupervisorLink& link,
            Iperf3Capabilities capabilities)
      : host_lock_(host_lock), process_(process), link_(link), capabilities_(capabilities) {}

  // Takes the lock, runs iperf3, parses its report. Gives the result a little before the job's
  // deadline, or kTermGrace after a cancel, at the latest. Nothing is held and nothing runs when it
  // returns.
  [[nodiscard]] JobResult Run(const Job& job);

 private:
  [[nodiscard]] tl::expected<HeldLock, AcquireError> TakeLock(const Job& job);
  void RunTest(const Job& job, const HeldLock& lock, JobResult& result);
  void Conclude(const Job& job, const RunResult& run, JobResult& result);

  HostLock* host_lock_;
  Iperf3Process& process_;
  SupervisorLink& link_;
  Iperf3Capabilities capabilities_;
  ReportParser parser_;
};

}  // namespace iperf3_exporter
