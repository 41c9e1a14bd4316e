#include "supervisor/workers/worker_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

// What it sends to its group or its terminal reaches nobody else, and what is sent to ours not it.
TEST(WorkerProcessTest, HasASessionOfItsOwn) {
  const auto worker = WorkerProcess::Spawn("/bin/cat");
  ASSERT_TRUE(worker) << worker.error().message;
  const pid_t pid = (*worker)->pid();
  EXPECT_EQ(::getsid(pid), pid);
  EXPECT_EQ(::getpgid(pid), pid);
}

}  // namespace
}  // namespace iperf3_exporter
