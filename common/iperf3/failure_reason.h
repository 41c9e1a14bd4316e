// Why a test gave no measurement: the closed list of the values of the
// label `reason`. An error of the exporter itself is an Error (error.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

enum class FailureReason : std::uint8_t {
  kResolve,            // the name has no usable address
  kConnectionRefused,  // nothing listens there
  kUnreachable,        // no route, bad source address, network or host down
  kConnectTimeout,     // the connect was not answered
  kServerBusy,         // the server runs another test
  kAccessDenied,       // the server refused us (authentication)
  kServerError,        // anything else that the server, or iperf3 about it, said
  kDeadline,           // the probe's time was over
  kCancelled,          // the scraper went away, or the exporter is stopping
  kBadOutput,          // no valid report, or one without the sums asked for
  kOutputTooLarge,     // more output than a report can have
  kExec,               // iperf3 could not be started
  kKilled,             // iperf3 ended by a signal that we did not send
  kSandboxViolation,   // iperf3 ended by its system call filter
  kWorkerLost,         // the worker died, hung or broke the protocol
  kInvalidOption,      // iperf3 refused an option
};

inline constexpr std::array<std::string_view, 16> kFailureReasonNames = {
    "resolve",     "connection_refused", "unreachable",      "connect_timeout",
    "server_busy", "access_denied",      "server_error",     "deadline",
    "cancelled",   "bad_output",         "output_too_large", "exec",
    "killed",      "sandbox_violation",  "worker_lost",      "invalid_option",
};

inline constexpr FailureReason kLastFailureReason =
    static_cast<FailureReason>(kFailureReasonNames.size() - 1);

[[nodiscard]] constexpr std::string_view Name(FailureReason reason) {
  return kFailureReasonNames[static_cast<std::size_t>(reason)];
}

}  // namespace iperf3_exporter
