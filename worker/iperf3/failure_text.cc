#include "worker/iperf3/failure_text.h"

#include <array>

namespace iperf3_exporter {
namespace {

struct KnownText {
  std::string_view part;  // anywhere in the text
  FailureReason reason;
};

// The first row whose text is contained applies. iperf3's own texts come before those that the C
// library adds after a colon, because they are more specific; "unable to connect" alone is less
// specific and has no row. Sources: iperf_error.c of 3.9 to 3.20 and the output of these versions.
constexpr std::array kKnownTexts = {
    // The server runs one test at a time.
    KnownText{"the server is busy running a test", FailureReason::kServerBusy},
    // 3.9 writes to a busy server that has already closed the connection.
    KnownText{"unable to send control message: Connection reset by peer",
              FailureReason::kServerBusy},
    KnownText{"test authorization failed", FailureReason::kAccessDenied},
    // 3.9 to 3.11 ignore a failed connect and continue with descriptor -1.
    KnownText{"unable to send control message: Bad file descriptor", FailureReason::kUnreachable},
    // iperf3 was terminated by a signal that it handles.
    KnownText{"the client has terminated", FailureReason::kKilled},
    // Options rejected by iperf3's parser or by getopt(3).
    KnownText{"parameter error", FailureReason::kInvalidOption},
    KnownText{"unrecognized option", FailureReason::kInvalidOption},
    KnownText{"invalid option", FailureReason::kInvalidOption},
    KnownText{"requires an argument", FailureReason::kInvalidOption},
    KnownText{"doesn't allow an argument", FailureReason::kInvalidOption},
    KnownText{"is ambiguous", FailureReason::kInvalidOption},
    // Options that fail when they are applied to a socket.
    KnownText{"unable to set TCP_CONGESTION", FailureReason::kInvalidOption},
    KnownText{"unable to set TCP/SCTP MSS", FailureReason::kInvalidOption},
    KnownText{"unable to set TCP MSS", FailureReason::kInvalidOption},
    KnownText{"unable to set TCP/SCTP NODELAY", FailureReason::kInvalidOption},
    KnownText{"unable to set TCP NODELAY", FailureReason::kInvalidOption},
    KnownText{"unable to set socket buffer size", FailureReason::kInvalidOption},
    KnownText{"socket buffer size not set correctly", FailureReason::kInvalidOption},
    KnownText{"unable to set IP TOS", FailureReason::kInvalidOption},
    KnownText{"unable to set IPv6 flow label", FailureReason::kInvalidOption},
    KnownText{"unable to set IP Do-Not-Fragment", FailureReason::kInvalidOption},
    KnownText{"unable to bind to device", FailureReason::kInvalidOption},
    KnownText{"this OS does not support", FailureReason::kInvalidOption},
    KnownText{"Protocol not supported", FailureReason::kInvalidOption},
    KnownText{"Protocol not available", FailureReason::kInvalidOption},
    // Reasons of a failed connect, from strerror(3) or gai_strerror(3).
    KnownText{"Connection refused", FailureReason::kConnectionRefused},
    KnownText{"No route to host", FailureReason::kUnreachable},
    KnownText{"Network is unreachable", FailureReason::kUnreachable},
    KnownText{"Network is down", FailureReason::kUnreachable},
    KnownText{"Host is down", FailureReason::kUnreachable},
    KnownText{"Cannot assign requested address", FailureReason::kUnreachable},
    KnownText{"Address already in use", FailureReason::kUnreachable},
    KnownText{"Address family not supported by protocol", FailureReason::kUnreachable},
    KnownText{"Address family for hostname not supported", FailureReason::kUnreachable},
    KnownText{"No such device", FailureReason::kUnreachable},
    KnownText{"Name or service not known", FailureReason::kResolve},
    KnownText{"Temporary failure in name resolution", FailureReason::kResolve},
    KnownText{"No address associated with hostname", FailureReason::kResolve},
    KnownText{"nodename nor servname provided", FailureReason::kResolve},
};

// The connect timed out. A later timeout means that the server stopped responding.
constexpr std::string_view kConnectPrefix = "unable to connect";
constexpr std::array<std::string_view, 2> kTimeoutTexts = {"Connection timed out",
                                                           "Operation now in progress"};

constexpr std::string_view kOwnPrefix = "iperf3: ";
constexpr std::string_view kErrorPrefix = "error - ";

}  // namespace

FailureReason ReasonOfText(std::string_view text) {
  for (const KnownText& known : kKnownTexts) {
    if (text.find(known.part) != text.npos) return known.reason;
  }
  if (text.starts_with(kConnectPrefix)) {
    for (const std::string_view timeout : kTimeoutTexts) {
      if (text.find(timeout) != text.npos) return FailureReason::kConnectTimeout;
    }
  }
  return FailureReason::kServerError;
}

std::string_view ExtractErrorLine(std::string_view stderr_text) {
  while (!stderr_text.empty()) {
    const std::size_t end = stderr_text.find('\n');
    std::string_view line = stderr_text.substr(0, end);
    stderr_text.remove_prefix(end == stderr_text.npos ? stderr_text.size() : end + 1);
    if (!line.starts_with(kOwnPrefix)) continue;
    line.remove_prefix(kOwnPrefix.size());
    if (line.starts_with(kErrorPrefix)) line.remove_prefix(kErrorPrefix.size());
    return line;
  }
  return {};
}

}  // namespace iperf3_exporter
