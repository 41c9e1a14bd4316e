#include "worker/sandbox/syscall_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"

namespace iperf3_exporter {
namespace {

TEST(SyscallTableTest, IsSortedAndNamesNoCallTwice) {
  std::set<std::string_view> seen;
  std::string_view last_group;
  for (const SyscallGroup& group : SyscallGroups()) {
    EXPECT_LT(last_group, group.name);
    last_group = group.name;
    std::string_view last;
    for (const SyscallGrant& grant : group.grants) {
      EXPECT_LT(last, grant.name);
      last = grant.name;
      EXPECT_TRUE(seen.insert(grant.name).second) << grant.name;
      EXPECT_GT(grant.reason.size(), 2U) << grant.name;
    }
  }
}

TEST(SyscallTableTest, EveryFilterCanBeBuiltAndTheOneMadeForEachTestIsShort) {
  const auto worker = SeccompFilter::Build(FilterOf::kWorker, FilterMode::kKill, kProgramFd);
  const auto iperf3 = SeccompFilter::Build(FilterOf::kIperf3, FilterMode::kKill, kProgramFd);
  ASSERT_TRUE(worker);
  ASSERT_TRUE(iperf3);
  EXPECT_GT(worker->program().size(), 5 * iperf3->program().size());
  EXPECT_TRUE(SeccompFilter::Build(FilterOf::kWorker, FilterMode::kDiagnose, kProgramFd));
  EXPECT_TRUE(SeccompFilter::Build(FilterOf::kIperf3, FilterMode::kDiagnose, kProgramFd));
}

// The page of the exec path can't be reached by a mapping that grows down from where the filter
// lets mappings begin.
TEST(SyscallTableTest, TheExecPathIsOutOfReachOfStacks) {
  constexpr std::uint64_t kStackGuardGap = std::uint64_t{256} * 4096;
  EXPECT_LT(kExecPathAddress + 4096 + kThreadStackBytes + kStackGuardGap, kLowestMapAddress);
}

TEST(SyscallTableTest, NamesCalls) {
  EXPECT_EQ(SyscallName(1 << 20), "unknown call");
#ifdef __x86_64__
  EXPECT_EQ(SyscallName(59), "execve");
#endif
}

}  // namespace
}  // namespace iperf3_exporter
