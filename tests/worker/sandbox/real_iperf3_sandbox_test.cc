// The installed iperf3, in every mode that a request can ask for, with every layer required.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/worker/loop/worker_under_test.h"

namespace iperf3_exporter {
namespace {

// iperf3 -s on a port of its own, until the end of the test.
class Server {
 public:
  Server() {
    port_ = FreePort();
    std::string port = std::to_string(port_);
    char name[] = "iperf3";
    char serve[] = "-s";
    char option[] = "-p";
    char* argv[] = {name, serve, option, port.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    EXPECT_EQ(::posix_spawnp(&pid_, name, &actions, nullptr, argv, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    WaitUntilItListens();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  static std::uint16_t FreePort() {
    const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin6_port);
  }

  // By its line in the kernel's table: connecting would be a test to it.
  void WaitUntilItListens() const {
    char wanted[32];
    std::snprintf(wanted, sizeof wanted, ":%04X 00000000", port_);
    const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
    while (Clock::now() < deadline) {
      const UniqueFd table(::open("/proc/net/tcp6", O_RDONLY | O_CLOEXEC));
      std::string text;
      char block[4096];
      for (ssize_t got = 0; (got = ::read(table.get(), block, sizeof block)) > 0;) {
        text.append(block, static_cast<std::size_t>(got));
      }
      const std::size_t at = text.find(wanted);
      if (at != std::string::npos) return;
      ::poll(nullptr, 0, 5);
    }
    ADD_FAILURE() << "iperf3 -s does not listen";
  }

  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

struct Mode {
  const char* name;
  TestOptions test;
  const char* address = "127.0.0.1";
};

std::vector<Mode> Modes() {
  constexpr auto kUdp = Protocol::kUdp;
  constexpr auto kDownload = Direction::kDownload;
  constexpr auto kBoth = Direction::kBidirectional;
  return {
      {"Tcp", {}},
      {"TcpReverse", {.direction = kDownload}},
      {"TcpBidirectional", {.direction = kBoth}},
      {"TcpOverVersion6", {}, "::1"},
      {"Udp", {.protocol = kUdp}},
      {"UdpReverse", {.protocol = kUdp, .direction = kDownload}},
      {"UdpBidirectional", {.protocol = kUdp, .direction = kBoth}},
      {"UdpFast", {.protocol = kUdp, .bitrate_bits_per_second = 50'000'000, .burst_packets = 10}},
      {"EightStreams", {.parallel = 8}},
      // At full speed, the 512 threads of iperf3 3.18 leave a small machine no time to end the
      // test.
      {"AllStreamsBothWays",
       {.direction = kBoth, .parallel = 128, .bitrate_bits_per_second = 1'000'000}},
      {"Paced", {.bitrate_bits_per_second = 10'000'000}},
      {"Omit", {.omit_seconds = 1}},
      {"Window", {.window_bytes = 65536}},
      {"SegmentSize", {.mss_bytes = 1400}},
      {"LongestBlock", {.length_bytes = 1024 * 1024}},
      {"Dscp", {.dscp = 46}},
      {"ClientPort", {.client_port = static_cast<std::uint16_t>(20000 + ::getpid() % 10000)}},
      {"SourceAddress", {.bind_address = ParseIpAddress("127.0.0.9")}},
      {"SourceDevice", {.bind_device = "lo"}},
      {"Congestion", {.congestion = "reno"}},
      {"NoDelay", {.no_delay = true}},
      {"Zerocopy", {.zerocopy = true}},
  };
}

class RealIperf3Test : public ::testing::TestWithParam<Mode> {};

TEST_P(RealIperf3Test, MeasuresWithEveryLayerRequired) {
  const Server server;
  WorkerUnderTest worker;
  WorkerConfig config;
  const char* const other = std::getenv("EXPORTER_IPERF3");  // as in tests/e2e/harness.py
  config.iperf3_path = other == nullptr ? "/usr/bin/iperf3" : other;
  ASSERT_EQ(worker.Configure(config).error, "");
  Job job;
  job.id = 1;
  job.address = ParseIpAddress(GetParam().address).value();
  job.port = server.port();
  job.test = GetParam().test;
  job.test.period_seconds = 1;
  const Deadline deadline = Clock::now() + WorkerUnderTest::kWaitLimit;
  job.times = BuildJobTimes(job.test, deadline, deadline);
  const JobEnd result = worker.Run(job);
  ASSERT_TRUE(result.Succeeded()) << (result.Succeeded() ? "" : Name(result.reason())) << ": "
                                  << result.detail();
  if (job.test.direction != Direction::kDownload) {
    ASSERT_TRUE(result.result->upload);
    EXPECT_GT(result.result->upload->received_bytes.value_or(0), 0);
  }
  if (job.test.direction != Direction::kUpload) {
    ASSERT_TRUE(result.result->download);
    EXPECT_GT(result.result->download->received_bytes.value_or(0), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, RealIperf3Test, ::testing::ValuesIn(Modes()),
                         [](const auto& mode) { return std::string(mode.param.name); });

}  // namespace
}  // namespace iperf3_exporter
