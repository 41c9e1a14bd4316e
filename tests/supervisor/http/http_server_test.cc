#include "supervisor/http/http_server.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "tests/helpers/temporary_directory.h"
#include "tests/supervisor/http/connection_fixture.h"

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class HttpServerTest : public LoopTest {
 protected:
  void Start(std::size_t max_connections) {
    HttpLimits limits;
    limits.max_connections = max_connections;
    HttpHooks hooks;
    hooks.tls = [this] {
      max_connections_ = std::max(max_connections_, server_->statistics().connections + 1);
      return nullptr;
    };
    hooks.authorize = [](const auto& exchange, const auto& admitted) {
      if (exchange->path() == "/secret") return exchange->Reply({.code = 401});
      admitted();
    };
    server_ = std::make_unique<HttpServer>(base(), limits, std::move(hooks));
    server_->AddRoute({.path = "/", .handler = [](const auto& exchange) {
                         exchange->Reply({.body = "page\n"});
                       }});
    server_->AddRoute({.path = "/slow",
                       .methods = {"GET", "POST"},
                       .handler = [this](auto& exchange) { pending_.push_back(exchange); }});
    ASSERT_TRUE(server_->Listen(*ParseListenAddress("unix:" + directory_ / "socket")));
  }

  // A connection that the server has not accepted yet.
  TestClient Connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = ParseListenAddress("unix:" + directory_ / "socket");
    EXPECT_EQ(
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address->address), address->length),
        0);
    return TestClient(std::move(fd));
  }
  // A connection that has the response to a request for `path`.
  TestClient ConnectAndGet(const std::string& path, const std::string& expected) {
    return ConnectAndSend(Get(path), expected);
  }
  TestClient ConnectAndSend(const std::string& request, const std::string& expected) {
    TestClient client = Connect();
    client.Send(request);
    EXPECT_TRUE(RunUntil([&] {
      client.Read();
      return client.Has(expected);
    }));
    return client;
  }
  [[nodiscard]] bool RunUntilPending(std::size_t count) {
    return RunUntil([&] { return pending_.size() == count; });
  }
  [[nodiscard]] bool RunUntilEnded(TestClient& client) {
    return RunUntil([&] {
      client.Read();
      return client.ended() || client.reset();
    });
  }
  [[nodiscard]] static bool IsOpen(TestClient& client) {
    client.Read();
    return !client.ended() && !client.reset();
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<HttpServer> server_;
  std::vector<std::shared_ptr<HttpExchange>> pending_;
  std::size_t max_connections_ = 0;
};

TEST_F(HttpServerTest, AnswersByRoute) {
  Start(10);
  ConnectAndGet("/", "page\n");
  ConnectAndGet("/x", "404 page not found\n");
  TestClient client = Connect();
  client.Send("DELETE /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(RunUntil([&] {
    client.Read();
    return client.Has("Method Not Allowed\n");
  }));
  EXPECT_THAT(client.received(), HasSubstr("HTTP/1.1 405 "));
  EXPECT_THAT(client.received(), HasSubstr("\r\nAllow: GET, POST\r\n"));
  EXPECT_THAT(server_->statistics().requests,
              ElementsAre(Pair(Pair("/", 200), 1), Pair(Pair("/slow", 405), 1),
                          Pair(Pair("other", 404), 1)));
}

TEST_F(HttpServerTest, CountsRequestsThatExceedALimit) {
  Start(10);
  const std::string too_long(HttpLimits().max_header_bytes, 'x');
  ConnectAndSend("BAD\r\n\r\n", "HTTP/1.1 400 ");
  EXPECT_EQ(server_->statistics().connections_rejected, 0U);
  ConnectAndSend(Get("/", "A: " + too_long + "\r\n"), "HTTP/1.1 431 ");
  EXPECT_EQ(server_->statistics().connections_rejected, 1U);
  ConnectAndSend(Get('/' + too_long), "HTTP/1.1 414 ");
  EXPECT_EQ(server_->statistics().connections_rejected, 2U);
  ConnectAndSend("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
                 "HTTP/1.1 413 ");
  EXPECT_EQ(server_->statistics().connections_rejected, 3U);
}

// Otherwise a cache would send a compressed page to everybody.
TEST_F(HttpServerTest, LargePagesVaryByEncoding) {
  Start(10);
  server_->AddRoute({.path = "/large", .handler = [](const auto& exchange) {
                       exchange->Reply({.body = std::string(5000, 'x') + "end"});
                     }});
  constexpr char kVary[] = "\r\nVary: Accept-Encoding\r\n";
  EXPECT_THAT(ConnectAndGet("/large", "xend").received(), HasSubstr(kVary));
  EXPECT_THAT(ConnectAndSend(Get("/large", "Accept-Encoding: gzip\r\n"), "Content-Encoding: gzip")
                  .received(),
              HasSubstr(kVary));
  EXPECT_THAT(ConnectAndGet("/", "page\n").received(), Not(HasSubstr("Vary")));
}

TEST_F(HttpServerTest, ConnectionsOfOneIterationCountAgainstTheLimit) {
  Start(2);
  std::vector<TestClient> clients;
  clients.reserve(5);
  for (int i = 0; i < 5; ++i) clients.push_back(Connect());
  ASSERT_TRUE(RunUntil([&] { return server_->statistics().connections_rejected == 3; }));
  EXPECT_EQ(server_->statistics().connections, 2U);
  EXPECT_EQ(max_connections_, 2U);
  // The earliest have been replaced.
  for (std::size_t i = 0; i < clients.size(); ++i) EXPECT_EQ(IsOpen(clients[i]), i >= 3) << i;
}

TEST_F(HttpServerTest, PendingRequestsAreNotReplaced) {
  Start(2);
  std::vector<TestClient> busy;
  busy.reserve(2);
  for (int i = 0; i < 2; ++i) {
    busy.push_back(Connect());
    busy.back().Send(Get("/slow"));
  }
  ASSERT_TRUE(RunUntilPending(2));
  std::vector<TestClient> late;
  late.reserve(3);
  for (int i = 0; i < 3; ++i) late.push_back(Connect());
  for (TestClient& client : late) EXPECT_TRUE(RunUntilEnded(client));
  EXPECT_EQ(server_->statistics().connections_rejected, 3U);
  EXPECT_EQ(server_->PendingRequests(), 2U);
  for (const auto& exchange : pending_) exchange->Reply({.body = "done"});
  for (TestClient& client : busy) {
    EXPECT_TRUE(RunUntil([&] {
      client.Read();
      return client.Has("done");
    }));
  }
}

TEST_F(HttpServerTest, ReplacesTheLongestIdleUnauthorizedConnectionFirst) {
  Start(4);
  TestClient authorized = ConnectAndGet("/", "page\n");
  TestClient refused = ConnectAndGet("/secret", "HTTP/1.1 401 ");
  TestClient silent = Connect();
  TestClient slow = Connect();
  slow.Send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
  ASSERT_TRUE(RunUntil([&] { return server_->statistics().connections == 4; }));
  std::vector<TestClient> newcomers;
  for (TestClient* next : {&refused, &silent, &slow}) {
    EXPECT_TRUE(IsOpen(*next));
    newcomers.push_back(ConnectAndGet("/", "page\n"));
    EXPECT_FALSE(IsOpen(*next));
  }
  EXPECT_TRUE(IsOpen(authorized));
  newcomers.push_back(ConnectAndGet("/", "page\n"));
  EXPECT_FALSE(IsOpen(authorized));
  for (TestClient& client : newcomers) EXPECT_TRUE(IsOpen(client));
  EXPECT_EQ(server_->statistics().connections_rejected, 4U);
}

TEST_F(HttpServerTest, DrainsPendingRequests) {
  Start(10);
  TestClient client = Connect();
  client.Send(Get("/slow"));
  ASSERT_TRUE(RunUntilPending(1));
  server_->StopAccepting();
  EXPECT_EQ(server_->PendingRequests(), 1U);
  EXPECT_THAT(server_->ListeningOn(), ElementsAre());
  pending_[0]->Reply({.body = "done"});
  EXPECT_EQ(server_->PendingRequests(), 0U);
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), HasSubstr("\r\nConnection: close\r\n"));
}

TEST_F(HttpServerTest, ItsDestructorDisconnectsPendingRequests) {
  Start(10);
  TestClient client = Connect();
  client.Send(Get("/slow"));
  ASSERT_TRUE(RunUntilPending(1));
  int gone = 0;
  pending_[0]->OnDisconnect([&] { ++gone; });
  server_.reset();
  EXPECT_EQ(gone, 1);
  EXPECT_FALSE(pending_[0]->IsPending());
  EXPECT_TRUE(RunUntilEnded(client));
}

}  // namespace
}  // namespace iperf3_exporter
