// glibc's own signal for pthread_cancel, which newer versions of iperf3 need. It is the one that
// the workers' filters let pass to any process, because iperf3 must be able to send it and its
// number is not known when they are made.
#pragma once

namespace iperf3_exporter {

// glibc hides it from <csignal> and from sigaction.
inline constexpr int kCancelSignal = 32;

// Otherwise a process that cancels no thread, as none of ours does, would be ended by it. What it
// starts ignores it too, until glibc there takes it.
void IgnoreCancelSignal();

}  // namespace iperf3_exporter
