// The system call filters, made from the table by libseccomp once, at start, as plain BPF that
// can be installed without an allocation.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/error.h"

namespace iperf3_exporter {

// The one path that execveat may be given lies at this address: an empty string in a read-only
// page of the worker. After the exec nothing is mapped there, and no call that the filters allow
// can map anything below kLowestMapAddress: no path, no second exec. (Without this an absolute
// path would do, for which execveat ignores its descriptor.) Addresses this low are
// above any vm.mmap_min_addr in use, and the kernel never chooses them by itself.
inline constexpr std::uint64_t kExecPathAddress = 0x100000;
inline constexpr std::uint64_t kLowestMapAddress = 0x400000;

// Maps that page. Once per process, before the filter.
[[nodiscard]] Status MapExecPath();

enum class FilterOf {
  kWorker,
  // Holds only together with the worker's of the same mode, which must be in force before it. To
  // kill, it names nothing but what it takes away from that one: the kernel compiles it anew for
  // each test, some 70 microseconds faster than a list of everything that is granted.
  kIperf3,
};

enum class FilterMode {
  kKill,      // a call that is not granted ends the process
  kDiagnose,  // the worker's is only logged by the kernel, iperf3's is told to a listener
};

class SeccompFilter {
 public:
  // `program_fd` is the only descriptor that may be executed; it must be above the hard limit of
  // descriptors.
  [[nodiscard]] static Result<SeccompFilter> Build(FilterOf of, FilterMode mode, int program_fd);

  // Cannot be undone in this process. Needs no-new-privileges. Async-signal-safe. Gives -1 and
  // errno on failure; otherwise the listener's descriptor if one was asked for, or 0.
  [[nodiscard]] int Install(bool with_listener) const;

  [[nodiscard]] std::span<const sock_filter> program() const { return program_; }

 private:
  explicit SeccompFilter(std::vector<sock_filter> program);

  // Mutable for one constant: the process that tgkill may name is known only when it installs.
  mutable std::vector<sock_filter> program_;
  std::optional<std::size_t> pid_instruction_;
};

// "openat" for its number on this machine; "unknown call" if it has none.
[[nodiscard]] std::string SyscallName(int number);

}  // namespace iperf3_exporter
