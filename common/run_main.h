// The outermost exception handler of both programs.
#pragma once

#include <functional>

namespace iperf3_exporter {

// The exit status after an exception.
inline constexpr int kExitException = 1;

// Runs `body` and returns its result. An exception that leaves `body`, a noexcept function or a
// thread ends the process with kExitException and one line on stderr, which names `program` (a
// literal) and the exception. Nothing is allocated then, because memory may be exhausted.
[[nodiscard]] int RunMain(const char* program, const std::function<int()>& body);

}  // namespace iperf3_exporter
