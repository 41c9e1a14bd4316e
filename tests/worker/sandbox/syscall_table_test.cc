#include "worker/sandbox/syscall_table.h"

#include <gtest/gtest.h>
#include <seccomp.h>

#include <set>
#include <string>

#include "worker/sandbox/resource_limits.h"
#include "worker/sandbox/seccomp_filter.h"
#include "worker/sandbox/socket_options.h"

namespace iperf3_exporter {
namespace {

template <typename Visit>
void ForEachRow(Visit visit) {
  for (const SyscallGroup& group : SyscallGroups()) {
    for (const SyscallRow& row : group.rows) visit(row);
  }
}

TEST(SyscallTableTest, IsSortedAndNamesNoCallTwice) {
  std::set<std::string_view> seen;
  std::string_view last_group;
  for (const SyscallGroup& group : SyscallGroups()) {
    EXPECT_LT(last_group, group.name);
    last_group = group.name;
    std::string_view last;
    for (const SyscallRow& row : group.rows) {
      EXPECT_LT(last, row.name);
      last = row.name;
      EXPECT_TRUE(seen.insert(row.name).second) << row.name;
      EXPECT_GT(row.reason.size(), 2U) << row.name;
    }
  }
}

// A misspelt name would silently have no rule.
TEST(SyscallTableTest, NamesCallsThatExist) {
  ForEachRow([](const SyscallRow& row) {
    const std::string name(row.name);
    EXPECT_GE(::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.c_str()), 0) << name;
  });
}

// iperf3 runs under both filters.
TEST(SyscallTableTest, AllowsIperf3NothingThatItDeniesTheWorker) {
  ForEachRow([](const SyscallRow& row) {
    EXPECT_NE(row.worker, Access::kDenied) << row.name;
    if (row.iperf3 == Access::kAllowed) {
      EXPECT_EQ(row.worker, Access::kAllowed) << row.name;
    }
  });
}

// With a condition the kernel would run both filters for each block of data.
TEST(SyscallTableTest, HasNoConditionForTheDataPath) {
  std::set<std::string_view> found;
  ForEachRow([&](const SyscallRow& row) {
    for (const std::string_view name : kDataPathCalls) {
      if (row.name != name) continue;
      found.insert(name);
      EXPECT_EQ(row.worker, Access::kAllowed) << name;
      EXPECT_EQ(row.iperf3, Access::kAllowed) << name;
    }
  });
  EXPECT_EQ(found.size(), kDataPathCalls.size());
}

TEST(SyscallTableTest, EveryFilterCanBeBuilt) {
  for (const Subject subject : {Subject::kWorker, Subject::kIperf3}) {
    for (const FilterMode mode : {FilterMode::kKill, FilterMode::kDiagnose}) {
      EXPECT_TRUE(SeccompFilter::Build(subject, mode));
    }
  }
}

// No mapping that grows down from the lowest address that the filters allow can reach the page of
// the exec path.
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

TEST(SocketOptionsTest, ListsNoOptionTwice) {
  std::set<std::pair<int, int>> seen;
  for (const SocketOption& row : SocketOptions()) {
    EXPECT_TRUE(seen.insert({row.level, row.option}).second) << row.level << ' ' << row.option;
    EXPECT_GT(row.reason.size(), 2U);
  }
}

}  // namespace
}  // namespace iperf3_exporter
