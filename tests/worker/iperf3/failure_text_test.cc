#include "worker/iperf3/failure_text.h"

#include <gtest/gtest.h>

#include <string>

namespace iperf3_exporter {
namespace {

TEST(FailureTextTest, ClassifiesFailedConnects) {
  for (const std::string before :
       {"unable to connect to server: ",
        "unable to connect to server - server may have stopped running or use a different port, "
        "firewall issue, etc.: "}) {
    EXPECT_EQ(ReasonOfText(before + "Connection refused"), FailureReason::kConnectionRefused);
    EXPECT_EQ(ReasonOfText(before + "Connection timed out"), FailureReason::kConnectTimeout);
    EXPECT_EQ(ReasonOfText(before + "Operation now in progress"), FailureReason::kConnectTimeout);
    EXPECT_EQ(ReasonOfText(before + "No route to host"), FailureReason::kUnreachable);
    EXPECT_EQ(ReasonOfText(before + "Network is unreachable"), FailureReason::kUnreachable);
    EXPECT_EQ(ReasonOfText(before + "Cannot assign requested address"),
              FailureReason::kUnreachable);
    EXPECT_EQ(ReasonOfText(before + "Name or service not known"), FailureReason::kResolve);
  }
}

TEST(FailureTextTest, DoesNotTreatALaterTimeoutAsAConnectTimeout) {
  EXPECT_EQ(ReasonOfText("unable to read from stream socket: Connection timed out"),
            FailureReason::kServerError);
  EXPECT_EQ(ReasonOfText("control socket has closed unexpectedly"), FailureReason::kServerError);
}

TEST(FailureTextTest, TreatsUnknownTextAsAServerError) {
  EXPECT_EQ(ReasonOfText(""), FailureReason::kServerError);
  EXPECT_EQ(ReasonOfText("idle timeout for receiving data"), FailureReason::kServerError);
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
