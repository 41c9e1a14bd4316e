// iperf3's own authentication between the tested iperf3 and itself, with every layer required
// and a worker started in each possible way.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/helpers/temporary_directory.h"
#include "tests/worker/sandbox/confined_iperf3.h"
#include "tests/worker/sandbox/real_iperf3_server.h"

namespace iperf3_exporter {
namespace {

class Iperf3AuthenticationTest : public ::testing::TestWithParam<Start> {
 protected:
  void SetUp() override {
    RunShell("printf 'probe,%s\n' $(printf '{probe}secret' | sha256sum | cut -c1-64) >users");
    RunShell(
        "for key in server other; do "
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -quiet -out $key.pem && "
        "openssl pkey -in $key.pem -pubout -out $key.pub || exit; done");
    credentials_ = {"probe", "secret", ReadFile("server.pub")};
    config_.iperf3_path = ClientPath();
    const SetUpAnswer ready = worker_.Configure(config_);
    ASSERT_EQ(ready.error, "");
    ASSERT_TRUE(ready.iperf3.capabilities.authentication);
  }

  void RunShell(const std::string& command) const {
    const std::string in_directory = "cd " + directory_.path().string() + " && " + command;
    ASSERT_EQ(std::system(in_directory.c_str()), 0) << command;
  }

  [[nodiscard]] std::string ReadFile(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Of the client's version: others may pad in another way. One for each test: between two, some
  // versions refuse connections.
  [[nodiscard]] Iperf3Server StartServer() const {
    return Iperf3Server({"--rsa-private-key-path", directory_ / "server.pem",
                         "--authorized-users-path", directory_ / "users"},
                        ClientPath());
  }

  JobEnd Run(const Iperf3Server& server, const std::optional<TestCredentials>& credentials) {
    Job job;
    job.id = ++last_id_;
    job.address = ParseIpAddress("127.0.0.1").value();
    job.port = server.port();
    job.test.period_seconds = 1;
    job.credentials = credentials;
    const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
    job.times = BuildJobTimes(job.test, deadline, deadline);
    return worker_.Run(job);
  }

  static void ExpectSuccess(const JobEnd& end) {
    EXPECT_TRUE(end.Succeeded()) << Name(end.reason()) << ": " << end.detail();
  }

  void ExpectRefused(const TestCredentials& credentials) {
    const JobEnd end = Run(StartServer(), credentials);
    ASSERT_FALSE(end.Succeeded());
    EXPECT_EQ(end.reason(), FailureReason::kAccessDenied) << end.detail();
    EXPECT_TRUE(end.detail().starts_with("the server refused the credentials: ")) << end.detail();
  }

  const TemporaryDirectory directory_;
  TestCredentials credentials_;
  WorkerConfig config_;
  WorkerUnderTest worker_{GetParam().prefix};
  std::uint64_t last_id_ = 0;
};

TEST_P(Iperf3AuthenticationTest, AcceptsOnlyTheRightCredentials) {
  ExpectSuccess(Run(StartServer(), credentials_));
  TestCredentials wrong = credentials_;
  wrong.password = "another";
  ExpectRefused(wrong);
  wrong = credentials_;
  wrong.username = "another";
  ExpectRefused(wrong);
  wrong = credentials_;
  wrong.public_key = ReadFile("other.pub");
  ExpectRefused(wrong);
  ExpectSuccess(Run(StartServer(), credentials_));
}

TEST_P(Iperf3AuthenticationTest, ServerRefusesAClientWithoutCredentials) {
  const JobEnd end = Run(StartServer(), std::nullopt);
  ASSERT_FALSE(end.Succeeded());
  // A server from 3.21 on does not say why.
  EXPECT_TRUE(end.reason() == FailureReason::kAccessDenied ||
              end.detail() == "control socket has closed unexpectedly")
      << end.detail();
}

TEST_P(Iperf3AuthenticationTest, ServerWithoutAuthenticationIgnoresCredentials) {
  ExpectSuccess(Run(Iperf3Server(), credentials_));
}

TEST_P(Iperf3AuthenticationTest, UnreadableKeyIsAnInvalidOption) {
  credentials_.public_key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
  const JobEnd end = Run(StartServer(), credentials_);
  ASSERT_FALSE(end.Succeeded());
  EXPECT_EQ(end.reason(), FailureReason::kInvalidOption) << end.detail();
}

INSTANTIATE_TEST_SUITE_P(Starts, Iperf3AuthenticationTest, ::testing::ValuesIn(Starts()),
                         [](const auto& start) { return std::string(start.param.name); });

}  // namespace
}  // namespace iperf3_exporter
