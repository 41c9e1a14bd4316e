// The installed iperf3 as a server.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/worker/loop/worker_under_test.h"

namespace iperf3_exporter {

// As in tests/e2e/harness.py.
inline std::string ClientPath() {
  const char* const other = std::getenv("EXPORTER_IPERF3");
  return other == nullptr ? "/usr/bin/iperf3" : other;
}

// iperf3 -s on a port of its own, until the end of the test.
class Iperf3Server {
 public:
  explicit Iperf3Server(const std::vector<std::string>& options = {},
                        const std::string& program = "iperf3") {
    port_ = FreePort();
    std::vector<std::string> words = {program, "-s", "-p", std::to_string(port_)};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    EXPECT_EQ(::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    WaitUntilItListens();
  }
  Iperf3Server(const Iperf3Server&) = delete;
  Iperf3Server& operator=(const Iperf3Server&) = delete;
  ~Iperf3Server() {
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

}  // namespace iperf3_exporter
