// iperf3 as it is built elsewhere: with other libcs and libraries, statically, with $ORIGIN.
#include <gtest/gtest.h>

#include "tests/test_paths.h"
#include "tests/worker/sandbox/confined_iperf3.h"

namespace iperf3_exporter {
namespace {

namespace fs = std::filesystem;

// Harmless, and answered so that the program goes on.
constexpr Attack kHabits[] = {
    {"readlink", "refused: EACCES"},
    {"readlinkat", "refused: EACCES"},
    {"dup", "refused: EPERM"},
    {"getcwd", "refused: EACCES"},
    {"isatty", "refused: ENOTTY"},
    {"faccessat2", "refused: ENOSYS"},
    {"statx", "refused: ENOSYS"},
    {"membarrier", "refused: ENOSYS"},
    {"sysinfo", "refused: EPERM"},
    {"affinity", "refused: EPERM"},
    {"sigaltstack", "refused: EPERM"},
    {"sigtimedwait", "refused: EPERM"},
    {"tkill", "refused: EPERM"},
    {"bti", "refused: EACCES"},
    {"clocks", kAllowed},
    {"sleep", kAllowed},
    {"readv", kAllowed},
    // Not by the filter: nothing was interrupted.
    {"restart", "refused: EINTR"},
    {"identity", kAllowed},
#ifdef __x86_64__
    {"stat", "refused: EACCES"},
    {"lstat", "refused: EACCES"},
    {"open", kAllowed},
    {"open-write", kKilled},
#endif
};

class Iperf3HabitsTest : public ConfinedIperf3Test {
 protected:
  Iperf3HabitsTest() : ConfinedIperf3Test("habits_iperf3") {}
};

TEST_P(Iperf3HabitsTest, FailWithAnErrorInsteadOfASignal) {
  ASSERT_EQ(ready_.error, "");
  ExpectEach(kHabits);
}

INSTANTIATE_TEST_SUITE_P(Starts, Iperf3HabitsTest, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

class StaticIperf3Test : public ConfinedIperf3Test {
 protected:
  StaticIperf3Test() : ConfinedIperf3Test("static_iperf3") {}
};

TEST_P(StaticIperf3Test, Works) {
  ASSERT_EQ(ready_.error, "");
  ExpectGoodJob("nothing");
}

INSTANTIATE_TEST_SUITE_P(Starts, StaticIperf3Test, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

// The name of the program is a symbolic link elsewhere, as installers make it.
class OriginIperf3Test : public ::testing::TestWithParam<const char*> {
 protected:
  OriginIperf3Test() {
    fs::remove_all(root_);
    fs::create_directories(root_ / "opt/bin");
    fs::create_directories(root_ / "opt" / GetParam());
    fs::create_directory(root_ / "bin");
    fs::copy_file(BuiltProgram("origin_iperf3"), root_ / "opt/bin/iperf3");
    fs::copy_file(BuiltProgram("origin/libiperf.so.0"),
                  root_ / "opt" / GetParam() / "libiperf.so.0");
    fs::create_symlink(root_ / "opt/bin/iperf3", root_ / "bin/iperf3");
  }
  ~OriginIperf3Test() override { fs::remove_all(root_); }

  const fs::path root_ = "/tmp/origin_iperf3_test." + std::to_string(::getpid());
};

TEST_P(OriginIperf3Test, FindsItsLibrary) {
  WorkerUnderTest worker;
  WorkerConfig config;
  config.iperf3_path = root_ / "bin/iperf3";
  ASSERT_EQ(worker.Configure(config).error, "");
  Job job;
  job.id = 1;
  job.address = ParseIpAddress("127.0.0.1").value();
  job.test.period_seconds = 1;
  const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
  job.times = BuildJobTimes(job.test, deadline, deadline);
  const JobEnd result = worker.Run(job);
  EXPECT_TRUE(result.Succeeded()) << result.detail();
}

INSTANTIATE_TEST_SUITE_P(Places, OriginIperf3Test, ::testing::Values("lib", "bin"),
                         [](const auto& place) { return std::string(place.param); });

}  // namespace
}  // namespace iperf3_exporter
