#include "supervisor/workers/worker_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace iperf3_exporter {
namespace {

// Signals to its process group or terminal reach only it, and signals to ours do not reach it.
TEST(WorkerProcessTest, HasASessionOfItsOwn) {
  const auto worker = WorkerProcess::Spawn("/bin/cat");
  ASSERT_TRUE(worker) << worker.error().message;
  const pid_t pid = (*worker)->pid();
  EXPECT_EQ(::getsid(pid), pid);
  EXPECT_EQ(::getpgid(pid), pid);
}

}  // namespace
}  // namespace iperf3_exporter
