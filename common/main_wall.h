// The outermost wall for exceptions of both programs.
#pragma once

#include <functional>

namespace iperf3_exporter {

// The exit status after an exception.
inline constexpr int kExitException = 1;

// Runs `body` and returns what it returns. An exception that reaches this wall, or that would leave
// a noexcept function or a thread, ends the process: one line on stderr that names `program` (a
// literal) and the exception, and kExitException. Allocates nothing then: memory may be what is
// missing.
[[nodiscard]] int RunMain(const char* program, const std::function<int()>& body);

}  // namespace iperf3_exporter
