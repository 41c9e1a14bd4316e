// Why a test produced no measurement: the closed list of values of the label `reason`. An error of
// the exporter itself is an Error (error.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

enum class FailureReason : std::uint8_t {
  kResolve,            // the name does not resolve to a usable address
  kConnectionRefused,  // nothing listens on the port, or a firewall rejects the connection
  kUnreachable,        // no route, host down, or a firewall or router answered with an ICMP error
  kConnectTimeout,     // the connection attempt was not answered
  kServerBusy,         // it runs another test, or reset the connection before the test
  kAccessDenied,       // the server requires authentication
  kServerError,        // any other error of the server, or of iperf3 about it
  kDeadline,           // too little time for queue, lock and period, or for the `bytes`
  kCancelled,          // the scraper disconnected, or the exporter is stopping
  kBadOutput,          // no valid report, or one that contradicts the test that ran
  kOutputTooLarge,     // more output than the largest report
  kExec,               // iperf3 could not be started
  kKilled,             // a signal that we did not send killed iperf3
  kSandboxViolation,   // the system call filter killed iperf3
  kWorkerLost,         // the worker died, hung or broke the protocol
  kInvalidOption,      // iperf3, this host or the server refused an option
  kNoData,             // the receiver received nothing of what was sent
  kNoResponse,         // connected, but the server did not answer, or did not end the test
};

inline constexpr std::array<std::string_view, 18> kFailureReasonNames = {
    "resolve",     "connection_refused", "unreachable",      "connect_timeout",
    "server_busy", "access_denied",      "server_error",     "deadline",
    "cancelled",   "bad_output",         "output_too_large", "exec",
    "killed",      "sandbox_violation",  "worker_lost",      "invalid_option",
    "no_data",     "no_response",
};

inline constexpr FailureReason kLastFailureReason =
    static_cast<FailureReason>(kFailureReasonNames.size() - 1);

[[nodiscard]] constexpr std::string_view Name(FailureReason reason) {
  return kFailureReasonNames[static_cast<std::size_t>(reason)];
}

}  // namespace iperf3_exporter
