#include "worker/iperf3/failure_text.h"

#include <algorithm>
#include <array>

namespace iperf3_exporter {
namespace {

struct KnownText {
  std::string_view part;  // anywhere in the text
  FailureReason reason;
  TestPhase last_phase;  // in a later one the row does not apply
};

// The first row that applies counts. Sources: iperf_error.c of 3.9 to 3.20 and the output of these
// versions.
constexpr std::array kKnownTexts = {
    // The server runs one test at a time.
    KnownText{"the server is busy running a test", FailureReason::kServerBusy,
              TestPhase::kConnecting},
    // Between two tests a server of 3.16 to 3.20 closes its listening socket for a moment, and one
    // of 3.9 closes the connection of a second client.
    KnownText{"Connection reset by peer", FailureReason::kServerBusy, TestPhase::kConnecting},
    KnownText{"control message: Broken pipe", FailureReason::kServerBusy, TestPhase::kConnecting},
    // The server sends this error number itself.
    KnownText{"test authorization failed", FailureReason::kAccessDenied, TestPhase::kAgreed},
    // 3.9 to 3.11 ignore a failed connect and continue with descriptor -1.
    KnownText{"unable to send control message: Bad file descriptor", FailureReason::kUnreachable,
              TestPhase::kConnecting},
    // iperf3 was terminated by a signal that it handles. No error number has this prefix.
    KnownText{"interrupt - the client has terminated", FailureReason::kKilled, TestPhase::kRunning},
    // Options rejected by iperf3's parser or by getopt(3). No error number has these words.
    KnownText{"parameter error", FailureReason::kInvalidOption, TestPhase::kConnecting},
    KnownText{"unrecognized option", FailureReason::kInvalidOption, TestPhase::kConnecting},
    KnownText{"invalid option", FailureReason::kInvalidOption, TestPhase::kConnecting},
    KnownText{"requires an argument", FailureReason::kInvalidOption, TestPhase::kConnecting},
    KnownText{"doesn't allow an argument", FailureReason::kInvalidOption, TestPhase::kConnecting},
    KnownText{"is ambiguous", FailureReason::kInvalidOption, TestPhase::kConnecting},
    // OpenSSL, about --rsa-public-key-path.
    KnownText{" routines:", FailureReason::kInvalidOption, TestPhase::kConnecting},
};

// What fails when an option is applied to a socket, here or at the server. A row applies until the
// test runs, and only to a test with that option.
struct OptionText {
  std::string_view part;
  bool (*is_used)(const TestOptions&);
};

constexpr auto kUsesMss = [](const TestOptions& test) { return test.mss_bytes.has_value(); };
constexpr auto kUsesNoDelay = [](const TestOptions& test) { return test.no_delay; };
constexpr auto kUsesWindow = [](const TestOptions& test) { return test.window_bytes.has_value(); };
constexpr auto kUsesDevice = [](const TestOptions& test) { return !test.bind_device.empty(); };
constexpr auto kUsesMptcp = [](const TestOptions& test) { return test.mptcp; };

constexpr std::array kOptionTexts = {
    OptionText{"unable to set TCP_CONGESTION",
               [](const TestOptions& test) { return !test.congestion.empty(); }},
    OptionText{"unable to set TCP/SCTP MSS", kUsesMss},
    OptionText{"unable to set TCP MSS", kUsesMss},
    OptionText{"unable to set TCP/SCTP NODELAY", kUsesNoDelay},
    OptionText{"unable to set TCP NODELAY", kUsesNoDelay},
    OptionText{"unable to set socket buffer size", kUsesWindow},
    OptionText{"socket buffer size not set correctly", kUsesWindow},
    OptionText{"unable to set IP TOS",
               [](const TestOptions& test) { return test.dscp.has_value(); }},
    OptionText{"unable to set IP Do-Not-Fragment",
               [](const TestOptions& test) { return test.dont_fragment; }},
    OptionText{"unable to bind to device", kUsesDevice},
    OptionText{": No such device", kUsesDevice},
    OptionText{": Cannot assign requested address",
               [](const TestOptions& test) { return test.bind_address.has_value(); }},
    OptionText{": Address already in use",
               [](const TestOptions& test) { return test.client_port.has_value(); }},
    OptionText{": Protocol not supported", kUsesMptcp},
    OptionText{": Protocol not available", kUsesMptcp},
};

// iperf3's texts about a connection. Each counts only in one phase: there the server either can't
// send the text itself, or could cause the failure anyway.
struct ConnectPrefix {
  std::string_view text;
  TestPhase phase;
};
constexpr std::array kConnectPrefixes = {
    ConnectPrefix{"unable to connect to server", TestPhase::kConnecting},
    ConnectPrefix{"unable to connect stream", TestPhase::kCreatingStreams},
    // With UDP the streams exchange a packet instead.
    ConnectPrefix{"unable to write to stream socket", TestPhase::kCreatingStreams},
    ConnectPrefix{"unable to read from stream socket", TestPhase::kCreatingStreams},
};

// In a running test only a UDP send fails so: by a firewall or a route of this host, or an ICMP
// message of the server's host. The server can forge this text, which makes no_data of a
// server_error.
constexpr std::string_view kSendPrefix = "unable to write to stream socket: ";

constexpr std::array<std::string_view, 3> kTimeoutTexts = {
    "Connection timed out", "Operation now in progress", "Resource temporarily unavailable"};

constexpr std::string_view kOwnPrefix = "iperf3: ";
constexpr std::string_view kErrorPrefix = "error - ";

bool Has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool SendsUdp(const TestOptions& test) {
  return test.protocol == Protocol::kUdp && test.direction != Direction::kDownload;
}

// strerror(3) follows the prefix. Any other error than those below means that this host does not
// send to the target: EINVAL (blackhole route, link-local address without a zone, loopback as the
// source), EACCES (prohibit route), EPERM (own firewall), ENETUNREACH, EHOSTUNREACH and more.
FailureReason ReasonOfConnect(std::string_view text, TestPhase phase) {
  // No error: iperf3 gave up waiting for the server's UDP packet.
  if (phase == TestPhase::kCreatingStreams && text.ends_with(": ")) {
    return FailureReason::kNoResponse;
  }
  if (Has(text, "Connection refused")) return FailureReason::kConnectionRefused;
  if (Has(text, "Connection reset by peer")) return FailureReason::kServerBusy;
  for (const std::string_view timeout : kTimeoutTexts) {
    if (!Has(text, timeout)) continue;
    return phase == TestPhase::kConnecting ? FailureReason::kConnectTimeout
                                           : FailureReason::kNoResponse;
  }
  return FailureReason::kUnreachable;
}

}  // namespace

FailureReason ReasonOfText(std::string_view text, const TestOptions& test, TestPhase phase) {
  phase = std::max(phase, TestPhase::kConnecting);  // kUnknown: no report, or none in JSON
  for (const KnownText& known : kKnownTexts) {
    if (phase <= known.last_phase && Has(text, known.part)) return known.reason;
  }
  for (const OptionText& option : kOptionTexts) {
    if (phase == TestPhase::kRunning) break;
    if (option.is_used(test) && Has(text, option.part)) return FailureReason::kInvalidOption;
  }
  for (const ConnectPrefix& prefix : kConnectPrefixes) {
    if (phase == prefix.phase && text.starts_with(prefix.text)) return ReasonOfConnect(text, phase);
  }
  if (phase == TestPhase::kRunning && SendsUdp(test) && text.starts_with(kSendPrefix)) {
    return FailureReason::kNoData;
  }
  return FailureReason::kServerError;
}

bool ClosedAtCredentials(std::string_view text, TestPhase phase) {
  return phase == TestPhase::kAgreed && Has(text, "control socket has closed unexpectedly");
}

std::string_view ExplainRefusal(std::string_view stderr_text) {
  // iperf3 3.16 to 3.19.1 states the length of its buffer as 0, which newer OpenSSL refuses, and
  // sends empty credentials.
  if (Has(stderr_text, "routines::output buffer too small")) {
    return "this iperf3 cannot encrypt credentials with the installed OpenSSL: 3.16 to 3.19.1 need "
           "a correction, which Debian 13 has";
  }
  return "the server refused the credentials: wrong user, password or public key, clocks that "
         "differ by more than its --time-skew-threshold, or other RSA padding (PKCS#1 up to iperf3 "
         "3.16 and with --use-pkcs1-padding, otherwise OAEP)";
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
