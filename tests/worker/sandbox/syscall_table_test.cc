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

// Without a condition.
bool IsAllowed(std::span<const SyscallRule> rules) {
  return rules.size() == 1 && rules[0].action == SCMP_ACT_ALLOW && rules[0].comparison_count == 0;
}

template <typename Visit>
void ForEachRow(Visit visit) {
  for (const SyscallGroup& group : SyscallGroups()) {
    for (const SyscallRow& row : group.rows) visit(row);
  }
}

TEST(SyscallTableTest, IsSortedWithoutDuplicates) {
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

// A misspelled name would silently have no rule.
TEST(SyscallTableTest, NamesCallsThatExist) {
  ForEachRow([](const SyscallRow& row) {
    EXPECT_GE(::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, row.name), 0) << row.name;
  });
}

// iperf3 runs under both filters.
TEST(SyscallTableTest, AllowsIperf3NothingThatTheWorkerIsDenied) {
  ForEachRow([](const SyscallRow& row) {
    EXPECT_FALSE(row.worker.empty()) << row.name;
    if (IsAllowed(row.iperf3)) {
      EXPECT_TRUE(IsAllowed(row.worker)) << row.name;
    }
  });
}

// With a condition the kernel would run both filters for each block of data.
TEST(SyscallTableTest, AllowsTheDataPathUnconditionally) {
  std::set<std::string_view> found;
  ForEachRow([&](const SyscallRow& row) {
    for (const std::string_view name : kDataPathCalls) {
      if (row.name != name) continue;
      found.insert(name);
      EXPECT_TRUE(IsAllowed(row.worker)) << name;
      EXPECT_TRUE(IsAllowed(row.iperf3)) << name;
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
TEST(SyscallTableTest, StacksCannotReachTheExecPath) {
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
  for (const SocketOption& row : kSocketOptions) {
    EXPECT_TRUE(seen.insert({row.level, row.option}).second) << row.level << ' ' << row.option;
    EXPECT_GT(row.reason.size(), 2U);
  }
}

}  // namespace
}  // namespace iperf3_exporter
