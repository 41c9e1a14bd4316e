// A lock of the test's own, and the configuration and jobs of a worker that runs the fake iperf3.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "tests/common/lock/lock_fixture.h"
#include "tests/test_paths.h"
#include "tests/worker/loop/worker_under_test.h"

namespace iperf3_exporter {

class WorkerLoopFixture : public ::testing::Test {
 protected:
  WorkerLoopFixture() {
    config_.lock_name = "worker_loop_test." + std::to_string(::getpid());
    config_.lock_scope = LockScope::kHost;
    config_.iperf3_path = BuiltProgram("fake_iperf3");
    config_.sandbox = SandboxMode::kBestEffort;
    EXPECT_TRUE(CreateLockFiles(config_.lock_name, config_.lock_scope));
  }
  ~WorkerLoopFixture() override { RemoveLockFiles(config_.lock_name, config_.lock_scope); }

  Job MakeJob(const char* mode, std::chrono::nanoseconds time = WorkerUnderTest::kWaitLimit) {
    Job job;
    job.id = ++last_id_;
    job.target = "localhost";
    job.address = ParseIpAddress("127.0.0.1").value();
    job.test.period_seconds = 1;
    job.test.bind_device = mode;
    job.lock_key = MakeLockKey("host");
    const Deadline deadline = Clock::now() + time;
    job.times = BuildJobTimes(job.test, deadline, deadline);
    return job;
  }

  // Waits for the worker's iperf3; -1: it does not appear.
  [[nodiscard]] pid_t FindIperf3(const WorkerUnderTest& worker) const {
    return worker.FindIperf3(config_.iperf3_path);
  }

  WorkerConfig config_;
  std::uint64_t last_id_ = 0;
};

}  // namespace iperf3_exporter
