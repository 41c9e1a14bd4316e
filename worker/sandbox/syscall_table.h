// Which system calls the worker and iperf3 may make, and why. A call that is not in the table, or
// that matches none of the rules in its row, ends the process (FilterMode::kKill).
//
// The worker and iperf3 have a filter each. iperf3 runs under both, so the worker's must allow
// whatever iperf3's allows.
#pragma once

#include <seccomp.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace iperf3_exporter {

enum class Subject : std::uint8_t { kWorker, kIperf3 };

// Stand for values that are known only when a filter is installed (SeccompFilter::Install).
inline constexpr std::uint32_t kOwnPidPlaceholder = 0x5eed7e57;
inline constexpr std::uint32_t kDeviceOptionPlaceholder = 0x5eed7e58;
inline constexpr std::uint32_t kMultipathPlaceholder = 0x5eed7e59;

// What happens to a call whose arguments fulfil all comparisons.
struct SyscallRule {
  std::uint32_t action;  // SCMP_ACT_ALLOW or SCMP_ACT_ERRNO
  unsigned comparison_count;
  std::array<scmp_arg_cmp, 3> comparisons;
};

struct SyscallRow {
  const char* name;  // an architecture that lacks the call has no rule for it
  std::span<const SyscallRule> worker;
  std::span<const SyscallRule> iperf3;
  std::string_view reason;
};

struct SyscallGroup {
  std::string_view name;
  std::span<const SyscallRow> rows;  // sorted by name
};

// The calls that iperf3 makes for each block of data. Both filters allow them unconditionally.
inline constexpr std::array kDataPathCalls = {
    "write",    "read",    "pselect6", "select", "poll",          "ppoll",
    "recvfrom", "recvmsg", "sendfile", "futex",  "clock_gettime", "clock_nanosleep"};

// Sorted by name; no call is in two groups.
[[nodiscard]] std::span<const SyscallGroup> SyscallGroups();

}  // namespace iperf3_exporter
