// glibc's internal signal for pthread_cancel, which iperf3 uses from 3.16 on. The workers' system
// call filters allow it to be sent to any process: iperf3 has to send it to its own threads, whose
// numbers are unknown when the filters are made.
#pragma once

namespace iperf3_exporter {

// glibc hides it from <csignal> and from sigaction.
inline constexpr int kCancelSignal = 32;

// So that the signal, sent by somebody else, does not end a process that cancels no thread, as none
// of ours does. Programs that it starts ignore the signal too, until their glibc installs its
// handler.
void IgnoreCancelSignal();

}  // namespace iperf3_exporter
