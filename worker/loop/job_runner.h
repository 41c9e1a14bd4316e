// One job from the lock to its result.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/lock/host_lock.h"
#include "common/wire/messages.h"
#include "worker/iperf3/report_parser.h"
#include "worker/loop/supervisor_link.h"
#include "worker/process/iperf3_process.h"
#include "worker/sandbox/temporary_directory.h"

namespace iperf3_exporter {

// The period, in seconds, of a test that starts at `now`: the requested one, or the whole seconds
// that are left. nullopt if less than one is left. Pure.
[[nodiscard]] std::optional<std::uint32_t> FittingPeriod(std::uint32_t period_seconds,
                                                         const JobTimes& times, Deadline now);

class JobRunner {
 public:
  // Borrows all but the capabilities. `host_lock` may be nullptr: scope `none`.
  JobRunner(HostLock* host_lock, Iperf3Process& process, const TemporaryDirectory& temporary,
            SupervisorLink& link, Iperf3Capabilities capabilities)
      : host_lock_(host_lock),
        process_(process),
        temporary_(temporary),
        link_(link),
        capabilities_(capabilities) {}

  // Acquires the lock, starts iperf3, sends Started, and evaluates the report. Blocks until the
  // job's `kill_at`, or until kTermGrace after a cancel, at the latest. Returns the message that
  // ends the job: Finished or NotStarted. By then the lock is released and iperf3 has ended. The
  // caller empties the temporary directory.
  [[nodiscard]] wire::Event Run(const Job& job);

 private:
  [[nodiscard]] tl::expected<HeldLock, AcquireError> AcquireLock(const Job& job);
  // Writes the public key of the job's credentials to the temporary directory.
  [[nodiscard]] Result<std::vector<std::string>> PrepareArgv(
      const Job& job, std::uint32_t period_seconds,
      std::chrono::milliseconds connect_timeout) const;
  [[nodiscard]] wire::Event RunTest(const Job& job, const HeldLock& lock,
                                    std::chrono::nanoseconds lock_wait);

  HostLock* host_lock_;
  Iperf3Process& process_;
  const TemporaryDirectory& temporary_;
  SupervisorLink& link_;
  Iperf3Capabilities capabilities_;
  ReportParser parser_;
};

}  // namespace iperf3_exporter
