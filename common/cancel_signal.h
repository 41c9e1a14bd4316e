// glibc's internal signal for pthread_cancel, which iperf3 uses from 3.16 on. The workers' system
// call filters allow sending it to any process, because iperf3 sends it to its own threads and
// their IDs are unknown when the filters are built.
#pragma once

namespace iperf3_exporter {

// glibc hides it from <csignal> and from sigaction.
inline constexpr int kCancelSignal = 32;

// Ignores the signal, so that another process cannot kill this one with it. Our processes cancel no
// thread. Programs that this process executes ignore the signal too until their glibc handles it.
void IgnoreCancelSignal();

}  // namespace iperf3_exporter
