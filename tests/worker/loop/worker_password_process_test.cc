// That a job's password reaches iperf3 by its environment alone, and that the worker keeps nothing
// of it.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "common/build_sanitizers.h"
#include "tests/worker/loop/worker_loop_fixture.h"

namespace iperf3_exporter {
namespace {

constexpr char kKey[] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";

std::string ProcFile(pid_t pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Whether a text is in the writable memory of a process.
bool HasInMemory(pid_t pid, const std::string& text) {
  const UniqueFd memory(
      ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(memory);
  std::istringstream maps(ProcFile(pid, "maps"));
  std::string block(std::size_t{1} << 20U, '\0');
  bool read_any = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) != 3) continue;
    if (access[1] != 'w') continue;
    // The blocks overlap by the length of the text.
    for (std::size_t at = begin; at < end; at += block.size() - text.size()) {
      const std::size_t bytes = std::min(block.size(), end - at);
      const ssize_t got = ::pread(memory.get(), block.data(), bytes, static_cast<off_t>(at));
      if (got <= 0) break;
      read_any = true;
      if (std::string_view(block.data(), static_cast<std::size_t>(got)).find(text) !=
          std::string_view::npos) {
        return true;
      }
    }
  }
  EXPECT_TRUE(read_any);
  return false;
}

class WorkerPasswordTest : public WorkerLoopFixture,
                           public ::testing::WithParamInterface<const char*> {};

TEST_P(WorkerPasswordTest, IsOnlyInTheEnvironmentOfIperf3AndNotKept) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: the worker's memory is not readable";
  if (kBuiltWithSanitizer) GTEST_SKIP() << "a sanitizer maps terabytes and delays what is freed";
  const std::string password = GetParam();
  // What would be left if only the beginning of the text were overwritten, as clear() and free()
  // do.
  const std::string end = password.substr(password.size() / 2);
  config_.log_level = 0;
  WorkerUnderTest worker;
  ASSERT_EQ(worker.Configure(config_).error, "");
  Job job = MakeJob("hang");
  job.credentials = {"probe", password, kKey};
  worker.Send(job);
  const pid_t iperf3 = FindIperf3(worker);
  EXPECT_NE(ProcFile(iperf3, "environ").find("IPERF3_PASSWORD=" + password), std::string::npos);
  EXPECT_EQ(ProcFile(iperf3, "cmdline").find(password), std::string::npos);
  EXPECT_TRUE(HasInMemory(worker.pid(), end)) << "the search finds nothing";
  worker.Send(wire::Cancel{});
  EXPECT_EQ(worker.AwaitEnd().reason(), FailureReason::kCancelled);
  EXPECT_FALSE(HasInMemory(worker.pid(), end));
  worker.CloseLink();
  worker.WaitForExit();
  EXPECT_EQ(worker.Log().find(password), std::string::npos);
}

// One that a std::string keeps within itself, and one in memory of its own.
INSTANTIATE_TEST_SUITE_P(Lengths, WorkerPasswordTest,
                         ::testing::Values("qX7-3vN9kW2-zR5",
                                           "qX7-a-rather-long-password-of-a-user"),
                         [](const auto& length) { return length.index == 0 ? "Short" : "Long"; });

}  // namespace
}  // namespace iperf3_exporter
