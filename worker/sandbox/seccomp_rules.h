// What each condition of the system call table means to the kernel: comparisons of arguments, as
// libseccomp takes them.
#pragma once

#include <cstdint>

#include "common/error.h"
#include "worker/sandbox/seccomp_filter.h"

namespace iperf3_exporter {

// Stands for the process's own number until the filter is installed.
inline constexpr std::uint32_t kOwnPidPlaceholder = 0x5eed7e57;

// Adds what the table comes to for that filter to `context`, a scmp_filter_ctx with the filter's
// default action; the rest as SeccompFilter::Build takes it. Fails, naming the call, at the first
// rule that libseccomp refuses.
[[nodiscard]] Status AddSeccompRules(void* context, FilterOf of, FilterMode mode, int program_fd);

}  // namespace iperf3_exporter
