// The limits of an iperf3 that consumes as much as it can, that the worker survives it, and that
// iperf3 gets what it may need.
#include <gtest/gtest.h>

#include "tests/worker/sandbox/confined_iperf3.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

class GreedyIperf3Test : public ConfinedIperf3Test {
 protected:
  GreedyIperf3Test() : ConfinedIperf3Test("greedy_iperf3") {}

  void Expect(const char* word, const char* outcome) {
    const JobEnd result = Run(word);
    EXPECT_EQ(Outcome(result), outcome) << word << Describe(result);
    ExpectGoodJob(word);
  }
};

TEST_P(GreedyIperf3Test, CanCreateThreadsForMaxStreamsButFewMore) {
  ASSERT_EQ(ready_.error, "");
  Expect("threads", "allowed");
  // The kernel does not limit the number of root's tasks.
  const bool stays_root = ready_.sandbox.worker[static_cast<std::size_t>(SandboxLayer::kUser)] !=
                              LayerState::kEnabled &&
                          GetParam().user == 0;
  if (stays_root) return;
  Expect("thread-bomb", "refused: EAGAIN");
  Expect("threads", "allowed");
}

TEST_P(GreedyIperf3Test, CanAllocateMemoryForMaxStreamsButNoGibibyte) {
  ASSERT_EQ(ready_.error, "");
  Expect("memory", "allowed");
}

TEST_P(GreedyIperf3Test, CanOpenDescriptorsForMaxStreamsButFewMore) {
  ASSERT_EQ(ready_.error, "");
  Expect("many-fds", "allowed");
  Expect("10000-fds", "refused: EMFILE");
}

// Its own file system has a size limit; in a shared one the worker checks the quota.
TEST_P(GreedyIperf3Test, CannotFillTheDisk) {
  ASSERT_EQ(ready_.error, "");
  const char* end = HasOwnMount() ? "refused: ENOSPC" : "output_too_large";
  Expect("fill-names", end);
  Expect("fill-bytes", end);
  Expect("buffers", "allowed");
  // Killed at once, so that it can't write on after SIGTERM.
  if (!HasOwnMount()) {
    EXPECT_EQ(Run("fill-names").detail(), "iperf3 wrote more to files than the limit");
  }
}

INSTANTIATE_TEST_SUITE_P(Starts, GreedyIperf3Test, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

// The same for its output and its run time.
class GreedyOutputTest : public ConfinedIperf3Test {
 protected:
  GreedyOutputTest() : ConfinedIperf3Test("fake_iperf3") {}

  void Expect(const char* mode, const char* outcome, std::chrono::nanoseconds time) {
    Job job = MakeJob("", time);
    job.test.bind_device = mode;  // as fake_iperf3 reads it
    const JobEnd result = worker_.Run(job);
    EXPECT_EQ(Outcome(result), outcome) << mode << Describe(result);
    ExpectGoodJob(mode);
  }
};

TEST_P(GreedyOutputTest, IsTerminatedWithTheRightReason) {
  ASSERT_EQ(ready_.error, "");
  Expect("large-report", "allowed", WorkerUnderTest::kWaitLimit);
  Expect("gib-report", "output_too_large", WorkerUnderTest::kWaitLimit);
  Expect("flood", "output_too_large", WorkerUnderTest::kWaitLimit);
  Expect("flood-errors", "output_too_large", WorkerUnderTest::kWaitLimit);
  Expect("drip", "deadline", milliseconds(1700));
  Expect("ignore-term", "deadline", milliseconds(1700));
}

INSTANTIATE_TEST_SUITE_P(Starts, GreedyOutputTest, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
