#include "common/cancel_signal.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace iperf3_exporter {

void IgnoreCancelSignal() {
  // The kernel's structure begins with the handler on every 64-bit architecture; the rest is zero.
  constexpr std::size_t kMaskBytes = 8;
  const std::uintptr_t action[4] = {1 /* SIG_IGN */, 0, 0, 0};
  ::syscall(SYS_rt_sigaction, kCancelSignal, action, nullptr, kMaskBytes);
}

}  // namespace iperf3_exporter
