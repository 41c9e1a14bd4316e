// How far a test had come when iperf3 wrote its report.
#pragma once

#include <cstdint>

namespace iperf3_exporter {

// In order. The server can make iperf3 print any of its error texts: with the state SERVER_ERROR it
// sends an error number and an errno, and iperf3 prints their text as if the error were its own. So
// a text counts only in a phase in which the server can't have sent it, or could have caused it
// anyway.
enum class TestPhase : std::uint8_t {
  kUnknown,  // no report
  // Until the server asks for the parameters. Until then it could also have refused the connection.
  kConnecting,
  kAgreed,           // the server has the parameters, no stream has a socket yet
  kCreatingStreams,  // iperf3 does not read from the control connection: its error is its own
  kRunning,
};

}  // namespace iperf3_exporter
