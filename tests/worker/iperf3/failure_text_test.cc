#include "worker/iperf3/failure_text.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace iperf3_exporter {
namespace {

constexpr std::array kPhases = {TestPhase::kUnknown, TestPhase::kConnecting, TestPhase::kAgreed,
                                TestPhase::kCreatingStreams, TestPhase::kRunning};

FailureReason Reason(std::string_view text, TestPhase phase, const TestOptions& test = {}) {
  return ReasonOfText(text, test, phase);
}

TEST(FailureTextTest, ClassifiesFailedConnects) {
  for (const std::string before :
       {"unable to connect to server: ",
        "unable to connect to server - server may have stopped running or use a different port, "
        "firewall issue, etc.: "}) {
    const auto reason = [&](const char* after) {
      return Reason(before + after, TestPhase::kConnecting);
    };
    EXPECT_EQ(reason("Connection refused"), FailureReason::kConnectionRefused);
    EXPECT_EQ(reason("Connection timed out"), FailureReason::kConnectTimeout);
    EXPECT_EQ(reason("Operation now in progress"), FailureReason::kConnectTimeout);
    EXPECT_EQ(reason("Connection reset by peer"), FailureReason::kServerBusy);
    EXPECT_EQ(Reason(before + "Connection refused", TestPhase::kUnknown),
              FailureReason::kConnectionRefused);
    for (const char* own :
         {"No route to host", "Network is unreachable", "Invalid argument", "Permission denied",
          "Operation not permitted", "Cannot assign requested address", "any other text"}) {
      EXPECT_EQ(reason(own), FailureReason::kUnreachable) << own;
    }
  }
}

TEST(FailureTextTest, ClassifiesFailedStreams) {
  const auto reason = [](const std::string& text) {
    return Reason(text, TestPhase::kCreatingStreams);
  };
  EXPECT_EQ(reason("unable to write to stream socket: Operation not permitted"),
            FailureReason::kUnreachable);
  EXPECT_EQ(reason("unable to read from stream socket: No route to host"),
            FailureReason::kUnreachable);
  EXPECT_EQ(reason("unable to read from stream socket: Connection refused"),
            FailureReason::kConnectionRefused);
  EXPECT_EQ(reason("unable to read from stream socket: Resource temporarily unavailable"),
            FailureReason::kNoResponse);
  // Its errno was 0: a bidirectional UDP test on a path that drops packets.
  EXPECT_EQ(reason("unable to read from stream socket: "), FailureReason::kNoResponse);
  EXPECT_EQ(reason("unable to connect stream: Connection timed out"), FailureReason::kNoResponse);
  EXPECT_EQ(reason("unable to connect stream: Connection reset by peer"),
            FailureReason::kServerBusy);
  EXPECT_EQ(reason("unable to create a new stream: No space left on device"),
            FailureReason::kServerError);
}

TEST(FailureTextTest, TreatsUdpPacketsThatAreRefusedAsNoData) {
  const auto reason = [](const std::string& error, Protocol protocol, Direction direction) {
    return Reason("unable to write to stream socket: " + error, TestPhase::kRunning,
                  {.protocol = protocol, .direction = direction});
  };
  for (const char* error : {"Operation not permitted", "Connection refused", "No route to host"}) {
    for (const Direction direction : {Direction::kUpload, Direction::kBidirectional}) {
      EXPECT_EQ(reason(error, Protocol::kUdp, direction), FailureReason::kNoData) << error;
      EXPECT_EQ(reason(error, Protocol::kTcp, direction), FailureReason::kServerError) << error;
    }
    EXPECT_EQ(reason(error, Protocol::kUdp, Direction::kDownload), FailureReason::kServerError);
  }
}

TEST(FailureTextTest, TreatsAResetBeforeTheParametersAsABusyServer) {
  for (const char* text : {"the server is busy running a test. try again later",
                           "unable to send control message: Connection reset by peer",
                           "unable to receive control message - port may not be available, the "
                           "other side may have stopped running, etc.: Connection reset by peer",
                           "unable to send control message: Broken pipe"}) {
    EXPECT_EQ(Reason(text, TestPhase::kConnecting), FailureReason::kServerBusy) << text;
    EXPECT_EQ(Reason(text, TestPhase::kAgreed), FailureReason::kServerError) << text;
  }
  EXPECT_EQ(Reason("control socket has closed unexpectedly", TestPhase::kConnecting),
            FailureReason::kServerError);
}

TEST(FailureTextTest, BlamesAnOptionOnlyIfTheTestHasIt) {
  struct Case {
    const char* text;
    TestOptions test;
  };
  const Case cases[] = {
      {"unable to set TCP_CONGESTION: Supplied congestion control algorithm not supported on this "
       "host",
       {.congestion = "x"}},
      {"unable to set TCP/SCTP MSS", {.mss_bytes = 88}},
      {"unable to set TCP MSS: Invalid argument", {.mss_bytes = 88}},
      {"unable to set TCP/SCTP NODELAY", {.no_delay = true}},
      {"unable to set TCP NODELAY: Invalid argument", {.no_delay = true}},
      {"unable to set socket buffer size: Invalid argument", {.window_bytes = 1}},
      {"socket buffer size not set correctly", {.window_bytes = 1}},
      {"unable to set IP TOS: Invalid argument", {.dscp = 1}},
      {"unable to set IP Do-Not-Fragment: Invalid argument", {.dont_fragment = true}},
      {"unable to bind to device: No such device", {.bind_device = "x"}},
      {"unable to connect to server: No such device", {.bind_device = "x"}},
      {"unable to connect to server: Cannot assign requested address",
       {.bind_address = IpAddress()}},
      {"unable to connect stream: Address already in use", {.client_port = 1024}},
      {"unable to connect to server: Protocol not supported", {.mptcp = true}},
      {"unable to connect to server: Protocol not available", {.mptcp = true}},
  };
  for (const auto& [text, test] : cases) {
    for (const TestPhase phase : kPhases) {
      const bool can_be_own = phase != TestPhase::kRunning;
      EXPECT_EQ(Reason(text, phase, test) == FailureReason::kInvalidOption, can_be_own) << text;
      EXPECT_NE(Reason(text, phase), FailureReason::kInvalidOption) << text;
    }
  }
}

// Each text of a table in a phase in which the server can have sent it.
TEST(FailureTextTest, TheServerCannotChooseTheReason) {
  for (const TestPhase phase : {TestPhase::kAgreed, TestPhase::kRunning}) {
    for (const char* text : {"", "unable to connect to server: Connection refused",
                             "unable to connect to server: Network is unreachable",
                             "unable to connect stream: Connection timed out",
                             "unable to write to stream socket: Operation not permitted",
                             "unable to read from stream socket: Resource temporarily unavailable",
                             "the client has terminated", "idle timeout for receiving data",
                             "unable to send control message: Bad file descriptor"}) {
      EXPECT_EQ(Reason(text, phase), FailureReason::kServerError) << text;
    }
  }
  EXPECT_EQ(Reason("the client has terminated", TestPhase::kConnecting),
            FailureReason::kServerError);
  EXPECT_EQ(Reason("interrupt - the client has terminated", TestPhase::kRunning),
            FailureReason::kKilled);
  EXPECT_EQ(Reason("test authorization failed", TestPhase::kAgreed), FailureReason::kAccessDenied);
  EXPECT_EQ(Reason("test authorization failed", TestPhase::kRunning), FailureReason::kServerError);
}

TEST(FailureTextTest, RecognizesAUsageError) {
  for (const char* text : {"parameter error - p", "unrecognized option '--x'",
                           "invalid option -- 'x'", "option requires an argument -- 'x'",
                           "option '--x' doesn't allow an argument", "option '--x' is ambiguous"}) {
    EXPECT_EQ(Reason(text, TestPhase::kUnknown), FailureReason::kInvalidOption) << text;
  }
}

TEST(FailureTextTest, ExtractsTheErrorLineFromStderr) {
  EXPECT_EQ(ExtractErrorLine(""), "");
  EXPECT_EQ(ExtractErrorLine("warning: UDP block size\n"), "");
  EXPECT_EQ(ExtractErrorLine("warning: x\niperf3: error - y\niperf3: error - z\n"), "y");
  EXPECT_EQ(ExtractErrorLine("iperf3: parameter error - p\n\nUsage: iperf3"),
            "parameter error - p");
  EXPECT_EQ(ExtractErrorLine("iperf3: unrecognized option '--x'"), "unrecognized option '--x'");
}

}  // namespace
}  // namespace iperf3_exporter
