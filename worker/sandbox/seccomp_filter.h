// The system call filters of worker and iperf3, compiled once from the system call table into BPF
// that can be installed without an allocation.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "worker/sandbox/syscall_table.h"

namespace iperf3_exporter {

// The only path that execveat accepts is at this address: an empty string in a read-only page of
// the worker. After the exec nothing is mapped there, and no call that the filters allow can map
// anything below kLowestMapAddress: so there is no path and no second exec. (A check of the flags
// alone is not enough: execveat ignores its descriptor if the path is absolute.) The kernel never
// chooses such low addresses by itself, and they are above any vm.mmap_min_addr in use.
inline constexpr std::uint64_t kExecPathAddress = 0x100000;
inline constexpr std::uint64_t kLowestMapAddress = 0x400000;

// Maps that page. Once per process, before the filter.
[[nodiscard]] Status MapExecPath();

enum class FilterMode : std::uint8_t {
  kKill,      // a denied call ends the process
  kDiagnose,  // the kernel logs the worker's denied calls, a listener gets those of iperf3
};

// What a job may request beyond what every iperf3 may do.
struct JobGrants {
  bool binds_device = false;   // setsockopt(SO_BINDTODEVICE)
  bool multipath_tcp = false;  // socket(IPPROTO_MPTCP), which Landlock's port rules don't cover
};

class SeccompFilter {
 public:
  [[nodiscard]] static Result<SeccompFilter> Build(Subject subject, FilterMode mode);

  // Irreversible. Needs no-new-privileges. Async-signal-safe. Returns -1 and errno on failure;
  // otherwise the listener's descriptor if one is requested, or 0.
  [[nodiscard]] int Install(JobGrants grants, bool with_listener) const;

  [[nodiscard]] std::span<const sock_filter> program() const { return program_; }

 private:
  explicit SeccompFilter(std::vector<sock_filter> program)
      : program_(std::move(program)), installed_(program_.size()) {}

  std::vector<sock_filter> program_;            // with placeholders
  mutable std::vector<sock_filter> installed_;  // with their values; set by Install
};

// "openat" for its number on this machine; "unknown call" if it has none.
[[nodiscard]] std::string SyscallName(int number);

}  // namespace iperf3_exporter
