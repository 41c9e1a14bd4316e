// That an exception in the worker leads to one clear line and an exit status.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <string>

#include "common/build_sanitizers.h"
#include "common/run_main.h"
#include "tests/test_paths.h"
#include "tests/worker/loop/worker_under_test.h"

namespace iperf3_exporter {
namespace {

// Waits until the worker waits for its configuration.
void WaitUntilItSleeps(pid_t pid) {
  const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
  std::string stat;
  while (Clock::now() < deadline) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::getline(file, stat);
    if (stat.find("(iperf3_exporter) S") != std::string::npos) return;
    ::poll(nullptr, 0, 1);
  }
  ADD_FAILURE() << stat;
}

TEST(WorkerWallTest, OutOfMemoryIsOneLogLineAndAnExitStatus) {
  if (kBuiltWithSanitizer) GTEST_SKIP() << "a sanitizer's allocator does not throw";
  // Without the padding of its heap it has hardly any memory left to set itself up with.
  WorkerUnderTest worker({"env", "GLIBC_TUNABLES=glibc.malloc.top_pad=0"});
  WaitUntilItSleeps(worker.pid());
  const rlimit none = {1, 1};
  ASSERT_EQ(::prlimit(worker.pid(), RLIMIT_AS, &none, nullptr), 0);
  WorkerConfig config;
  config.iperf3_path = BuiltProgram("fake_iperf3");
  config.sandbox = SandboxMode::kBestEffort;
  worker.Send(config);
  EXPECT_FALSE(worker.ReceiveEvent());
  const int status = worker.WaitForExit();
  EXPECT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), kExitException);
  EXPECT_EQ(worker.Log(), "iperf3_exporter_worker: terminated by an exception: std::bad_alloc\n");
}

}  // namespace
}  // namespace iperf3_exporter
