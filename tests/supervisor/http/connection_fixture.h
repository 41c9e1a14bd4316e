// A loop in the test, connections over socket pairs, and clients that are read without blocking.
#pragma once

#include <event2/event.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/unique_fd.h"
#include "supervisor/http/http_connection.h"
#include "supervisor/http/http_exchange.h"
#include "supervisor/http/http_types.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

// The client's end of a connection.
class TestClient {
 public:
  explicit TestClient(UniqueFd fd) : fd_(std::move(fd)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  // What the kernel accepts of `bytes`.
  std::size_t Send(std::string_view bytes) {
    const auto sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  void HalfClose() { ::shutdown(fd(), SHUT_WR); }
  void Close() { fd_.Reset(); }

  // Reads at most `max_bytes` of what has arrived.
  void Read(std::size_t max_bytes = SIZE_MAX) {
    std::array<char, 65536> chunk;
    while (max_bytes > 0 && !ended_ && !reset_) {
      const auto got = ::recv(fd(), chunk.data(), std::min(chunk.size(), max_bytes), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) return;
      ended_ = got == 0;
      reset_ = got < 0;
      if (got <= 0) return;
      received_.append(chunk.data(), static_cast<std::size_t>(got));
      max_bytes -= static_cast<std::size_t>(got);
    }
  }
  [[nodiscard]] const std::string& received() const { return received_; }
  // The server closed in an orderly way, or the connection failed.
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] bool reset() const { return reset_; }
  [[nodiscard]] bool Has(std::string_view text) const {
    return received_.find(text) != std::string::npos;
  }

 private:
  UniqueFd fd_;
  std::string received_;
  bool ended_ = false;
  bool reset_ = false;
};

class LoopTest : public testing::Test {
 protected:
  // Runs the loop until `condition` holds. Returns false after ten seconds.
  template <typename Condition>
  [[nodiscard]] bool RunUntil(Condition condition) {
    const Deadline deadline = Clock::now() + std::chrono::seconds(10);
    Timer tick(base(), [] {});
    while (!condition()) {
      if (Clock::now() > deadline) return false;
      tick.Start(std::chrono::milliseconds(1));
      ::event_base_loop(base(), EVLOOP_ONCE);
    }
    return true;
  }
  // Runs every callback that is due.
  void RunTurns(int turns = 10) {
    for (int i = 0; i < turns; ++i) ::event_base_loop(base(), EVLOOP_NONBLOCK);
  }
  [[nodiscard]] event_base* base() const { return base_.get(); }

 private:
  EventBase base_ = CreateEventBase();
};

class ConnectionFixture : public LoopTest {
 protected:
  ConnectionFixture() {
    std::signal(SIGPIPE, SIG_IGN);  // as HttpServer does
    context_.base = base();
    context_.on_request = [this](std::shared_ptr<HttpExchange> exchange) {
      paths_.push_back(exchange->path());
      on_request_(std::move(exchange));
    };
    context_.on_response = [this](const std::string&, int code) { codes_.push_back(code); };
    context_.response_headers = [] { return nullptr; };
    context_.on_closed = [this](HttpConnection* connection) { connections_.erase(connection); };
  }
  ~ConnectionFixture() override {
    exchanges_.clear();
    while (!connections_.empty()) connections_.begin()->second->Close();
  }

  TestClient Connect(const TlsContext* tls = nullptr) {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    auto connection = HttpConnection::Create(&context_, UniqueFd(fds[0]), "test", tls);
    connection_ = connection.get();
    connections_.emplace(connection.get(), std::move(connection));
    return TestClient(UniqueFd(fds[1]));
  }

  [[nodiscard]] bool Closed() const { return connections_.empty(); }
  [[nodiscard]] std::uint64_t rejected() const { return context_.statistics.connections_rejected; }

  HttpContext context_;
  std::map<HttpConnection*, std::unique_ptr<HttpConnection>> connections_;
  HttpConnection* connection_ = nullptr;  // the latest
  std::vector<std::string> paths_;        // of all requests
  std::vector<int> codes_;                // of all responses
  std::vector<std::shared_ptr<HttpExchange>> exchanges_;
  // Handles a request: by default it waits in exchanges_.
  std::function<void(std::shared_ptr<HttpExchange>)> on_request_ =
      [this](std::shared_ptr<HttpExchange> exchange) { exchanges_.push_back(std::move(exchange)); };
};

[[nodiscard]] inline std::string Get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

}  // namespace iperf3_exporter
