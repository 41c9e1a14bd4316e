// Connections under TLS, with a client of OpenSSL in the same loop.
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include "common/deleter.h"
#include "supervisor/auth/tls_context.h"
#include "supervisor/config/web_config.h"
#include "tests/supervisor/http/connection_fixture.h"
#include "tests/test_paths.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class TlsClient {
 public:
  TlsClient(event_base* base, TestClient socket) : socket_(std::move(socket)) {
    SSL* session = SSL_new(context_.get());
    bev_.reset(bufferevent_openssl_socket_new(base, socket_.fd(), session,
                                              BUFFEREVENT_SSL_CONNECTING, /*options=*/0));
    session_.reset(session);
    bufferevent_setcb(bev_.get(), nullptr, nullptr, OnEvent, this);
    bufferevent_enable(bev_.get(), EV_READ | EV_WRITE);
  }

  void Send(const std::string& text) { bufferevent_write(bev_.get(), text.data(), text.size()); }
  [[nodiscard]] std::string Received() {
    evbuffer* input = bufferevent_get_input(bev_.get());
    const std::size_t size = evbuffer_get_length(input);
    return {reinterpret_cast<const char*>(evbuffer_pullup(input, -1)), size};
  }
  // The server has sent close_notify.
  [[nodiscard]] bool ended() const { return ended_; }
  void SendCloseNotify() { SSL_shutdown(session_.get()); }
  void Close() {
    bev_.reset();
    socket_.Close();
  }

 private:
  static void OnEvent(bufferevent*, short what, void* self) {
    if ((what & BEV_EVENT_EOF) != 0) static_cast<TlsClient*>(self)->ended_ = true;
  }

  TestClient socket_;
  std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>> context_{SSL_CTX_new(TLS_client_method())};
  std::unique_ptr<SSL, Deleter<SSL_free>> session_;
  std::unique_ptr<bufferevent, Deleter<bufferevent_free>> bev_;
  bool ended_ = false;
};

class HttpConnectionTlsTest : public ConnectionFixture {
 protected:
  HttpConnectionTlsTest() {
    const std::string pem = TestData("web_config/pem/");
    WatchedFiles files;
    TlsConfig config;
    config.cert = {*files.Read(pem + "server.pem"), 1};
    config.key = {*files.Read(pem + "server.key"), 1};
    tls_ = *TlsContext::Create(config);
  }

  TlsClient ConnectTls() { return {base(), Connect(tls_.get())}; }
  [[nodiscard]] bool RunUntilReceived(TlsClient& client, const std::string& text) {
    return RunUntil([&] { return client.Received().find(text) != std::string::npos; });
  }

  std::shared_ptr<const TlsContext> tls_;
};

TEST_F(HttpConnectionTlsTest, LimitsTheTimeOfTheHandshake) {
  context_.limits.request_timeout = milliseconds(5);
  auto client = Connect(tls_.get());
  client.Send("\x16\x03\x01");
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(HttpConnectionTlsTest, TheTimeOfAHeadIncludesTheHandshake) {
  context_.limits.request_timeout = milliseconds(300);
  const Deadline start = Clock::now();
  auto client = ConnectTls();
  client.Send("GET /");
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  EXPECT_EQ(rejected(), 1U);
  EXPECT_GE(Clock::now() - start, milliseconds(300));
}

TEST_F(HttpConnectionTlsTest, ServesAndSendsCloseNotify) {
  on_request_ = [](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Reply({.body = exchange->path() + "."});
  };
  auto client = ConnectTls();
  client.Send(Get("/a") + Get("/b"));
  ASSERT_TRUE(RunUntilReceived(client, "/b."));
  client.Send(Get("/c", "Connection: close\r\n"));
  ASSERT_TRUE(RunUntil([&] { return client.ended(); }));
  EXPECT_THAT(client.Received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.Received(), EndsWith("/c."));
}

TEST_F(HttpConnectionTlsTest, SendsAResponseThatExceedsEveryBuffer) {
  on_request_ = [](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Reply({.body = std::string(4 << 20, 'x') + "end"});
  };
  auto client = ConnectTls();
  client.Send(Get("/a") + Get("/b", "Connection: close\r\n"));
  ASSERT_TRUE(RunUntil([&] { return client.ended(); }));
  EXPECT_THAT(client.Received(), EndsWith("xend"));
  EXPECT_EQ(paths_.size(), 2U);
}

TEST_F(HttpConnectionTlsTest, SendsASharedBody) {
  const std::string text = std::string(std::size_t{4} << 20, 'x') + "end";
  std::weak_ptr<const std::string> watched;
  on_request_ = [&](const std::shared_ptr<HttpExchange>& exchange) {
    const auto body = std::make_shared<const std::string>(text);
    watched = body;
    exchange->Reply({.shared_body = body});
  };
  TlsClient client = ConnectTls();
  client.Send(Get("/"));
  ASSERT_TRUE(RunUntilReceived(client, "end"));
  EXPECT_THAT(client.Received(), EndsWith("\r\n\r\n" + text));
  EXPECT_TRUE(RunUntil([&] { return watched.expired(); }));
}

TEST_F(HttpConnectionTlsTest, ACloseNotifyDoesNotCutAResponse) {
  on_request_ = [](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Reply({.body = std::string(4 << 20, 'x') + "end"});
  };
  auto client = ConnectTls();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntil([&] { return paths_.size() == 1; }));
  client.SendCloseNotify();
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  RunTurns();
  EXPECT_THAT(client.Received(), EndsWith("xend"));
}

TEST_F(HttpConnectionTlsTest, NoticesThatTheClientOfAPendingRequestHasGone) {
  for (const bool close_notify : {false, true}) {
    paths_.clear();
    int gone = 0;
    auto client = ConnectTls();
    client.Send(Get("/a"));
    ASSERT_TRUE(RunUntil([&] { return paths_.size() == 1; }));
    exchanges_.back()->OnDisconnect([&] { ++gone; });
    close_notify ? client.SendCloseNotify() : client.Close();
    ASSERT_TRUE(RunUntil([&] { return gone == 1; })) << close_notify;
    EXPECT_TRUE(Closed());
  }
}

TEST_F(HttpConnectionTlsTest, AnswersAClientOfPlainHttp) {
  auto client = Connect(tls_.get());
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntil([&] {
    client.Read();
    return client.ended() || client.reset();
  }));
  EXPECT_TRUE(client.ended());
  EXPECT_THAT(client.received(), HasSubstr("Client sent an HTTP request to an HTTPS server."));
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return Closed(); }));
}

}  // namespace
}  // namespace iperf3_exporter
