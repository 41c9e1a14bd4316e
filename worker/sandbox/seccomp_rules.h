// Translates the system call table into rules of libseccomp.
#pragma once

#include <cstdint>

#include "common/error.h"
#include "worker/sandbox/syscall_table.h"

namespace iperf3_exporter {

// Constants that stand for values that are known only when a filter is installed.
inline constexpr std::uint32_t kOwnPidPlaceholder = 0x5eed7e57;
inline constexpr std::uint32_t kDeviceOptionPlaceholder = 0x5eed7e58;
inline constexpr std::uint32_t kMultipathPlaceholder = 0x5eed7e59;

// Adds the rules of `subject` to `context`, a scmp_filter_ctx with the filter's default action.
// Fails, naming the call, at the first rule that libseccomp refuses. `answers_habits`: whether
// calls that fail with an error do so; otherwise the default action applies to them.
[[nodiscard]] Status AddSeccompRules(void* context, Subject subject, bool answers_habits);

}  // namespace iperf3_exporter
