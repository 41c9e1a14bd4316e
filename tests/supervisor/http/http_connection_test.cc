#include "supervisor/http/http_connection.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "tests/supervisor/http/connection_fixture.h"

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Never reached, also on a loaded machine.
constexpr milliseconds kNever{60'000};

class HttpConnectionTest : public ConnectionFixture {
 protected:
  HttpConnectionTest() {
    context_.limits.request_timeout = kNever;
    context_.limits.idle_timeout = kNever;
    context_.limits.write_timeout = kNever;
    context_.limits.linger_timeout = kNever;
  }

  void ReplyAtOnce() {
    on_request_ = [](const std::shared_ptr<HttpExchange>& exchange) {
      exchange->Reply({.body = "body of " + exchange->path() + "\n"});
    };
  }
  // A response that exceeds every socket buffer.
  void ReplyTooMuchAtOnce() {
    on_request_ = [](const std::shared_ptr<HttpExchange>& exchange) {
      exchange->Reply({.body = std::string(kLargeBytes, 'x') + "end"});
    };
  }
  [[nodiscard]] bool RunUntilRequests(std::size_t count) {
    return RunUntil([&] { return paths_.size() == count; });
  }
  [[nodiscard]] bool RunUntilReceived(TestClient& client, std::string_view text) {
    return RunUntil([&] {
      client.Read();
      return client.Has(text);
    });
  }
  [[nodiscard]] bool RunUntilEnded(TestClient& client) {
    return RunUntil([&] {
      client.Read();
      return client.ended() || client.reset();
    });
  }

  static constexpr std::size_t kLargeBytes = std::size_t{4} << 20;
};

// ---- Requests and responses

TEST_F(HttpConnectionTest, AnswersARequest) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilReceived(client, "body of /a\n"));
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nContent-Length: 11\r\n"));
  EXPECT_THAT(client.received(), Not(HasSubstr("Connection:")));
  EXPECT_THAT(codes_, ElementsAre(200));
  EXPECT_FALSE(connection_->HasPendingRequest());
}

TEST_F(HttpConnectionTest, ReadsAHeadByteByByte) {
  ReplyAtOnce();
  auto client = Connect();
  for (const char c : Get("/a")) {
    client.Send({&c, 1});
    RunTurns(2);
  }
  EXPECT_TRUE(RunUntilReceived(client, "body of /a\n"));
}

TEST_F(HttpConnectionTest, ReadsABodyInPieces) {
  auto client = Connect();
  client.Send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
  RunTurns();
  EXPECT_THAT(paths_, IsEmpty());
  EXPECT_FALSE(connection_->HasPendingRequest());
  client.Send("67890" + Get("/b"));
  ASSERT_TRUE(RunUntilRequests(1));
  EXPECT_EQ(exchanges_[0]->body(), "1234567890");
  exchanges_[0]->Reply({});
  ASSERT_TRUE(RunUntilRequests(2));
  EXPECT_EQ(exchanges_[1]->body(), "");
}

TEST_F(HttpConnectionTest, ReadsTheLargestBody) {
  const std::size_t size = context_.limits.max_body_bytes;
  auto client = Connect();
  client.Send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) +
              "\r\n\r\n" + std::string(size, 'b'));
  ASSERT_TRUE(RunUntilRequests(1));
  EXPECT_EQ(exchanges_[0]->body(), std::string(size, 'b'));
}

TEST_F(HttpConnectionTest, ServesPipelinedRequestsOneAfterAnother) {
  auto client = Connect();
  client.Send(Get("/a") + Get("/b") + Get("/c"));
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(RunUntilRequests(i + 1));
    RunTurns();
    EXPECT_EQ(paths_.size(), i + 1) << "the last request is still pending";
    exchanges_[i]->Reply({.body = exchanges_[i]->path() + "."});
  }
  ASSERT_TRUE(RunUntilReceived(client, "/c."));
  EXPECT_LT(client.received().find("/a."), client.received().find("/b."));
  EXPECT_THAT(paths_, ElementsAre("/a", "/b", "/c"));
}

TEST_F(HttpConnectionTest, PipelinedRequestsDoNotDelayOtherClients) {
  constexpr std::size_t kRequests = 200;
  auto other = Connect();
  on_request_ = [&](const std::shared_ptr<HttpExchange>& exchange) {
    if (paths_.size() == 10) other.Send(Get("/other"));
    exchange->Reply({});
  };
  auto client = Connect();
  std::string requests;
  for (std::size_t i = 0; i < kRequests; ++i) requests += Get("/a");
  client.Send(requests);
  ASSERT_TRUE(RunUntilRequests(kRequests + 1));
  EXPECT_LT(std::find(paths_.begin(), paths_.end(), "/other") - paths_.begin(), 100);
}

TEST_F(HttpConnectionTest, HandlesNoRequestWhileAResponseIsWritten) {
  ReplyTooMuchAtOnce();
  auto client = Connect();
  client.Send(Get("/a") + Get("/b"));
  ASSERT_TRUE(RunUntilRequests(1));
  client.Send(Get("/c"));
  RunTurns();
  EXPECT_TRUE(connection_->HasPendingRequest());
  EXPECT_THAT(paths_, ElementsAre("/a"));
  ASSERT_TRUE(RunUntil([&] {
    client.Read();
    return paths_.size() == 3;
  }));
  EXPECT_GT(client.received().size(), 2 * kLargeBytes);
}

TEST_F(HttpConnectionTest, ClosesOnRequest) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a", "Connection: keep-alive, close\r\n"));
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_TRUE(client.ended());
  EXPECT_THAT(client.received(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(client.received(), EndsWith("body of /a\n"));
  EXPECT_FALSE(Closed()) << "the client has to close first";
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return Closed(); }));
}

TEST_F(HttpConnectionTest, KeepsAnHttp10ConnectionOnRequest) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
  ASSERT_TRUE(RunUntilReceived(client, "body of /a\n"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nConnection: keep-alive\r\n"));
  client.Send("GET /b HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), EndsWith("body of /b\n"));
}

TEST_F(HttpConnectionTest, ClosesAfterEachResponseWhileDraining) {
  ReplyAtOnce();
  context_.draining = true;
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), HasSubstr("\r\nConnection: close\r\n"));
}

TEST_F(HttpConnectionTest, OmitsTheBodyForHead) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), HasSubstr("\r\nContent-Length: 11\r\n"));
  EXPECT_THAT(client.received(), EndsWith("\r\n\r\n"));
}

TEST_F(HttpConnectionTest, SendsASharedBodyWithoutACopyAndReleasesIt) {
  auto body = std::make_shared<const std::string>(std::string(kLargeBytes, 'x') + "end");
  const std::weak_ptr<const std::string> watched = body;
  on_request_ = [&body](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Reply({.shared_body = body, .shared_body_encoding = "gzip"});
  };
  TestClient client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilReceived(client, "\r\n\r\nxx"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nContent-Encoding: gzip\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nVary: Accept-Encoding\r\n"));
  EXPECT_THAT(client.received(),
              HasSubstr("\r\nContent-Length: " + std::to_string(body->size()) + "\r\n"));
  EXPECT_GT(body.use_count(), 1);
  ASSERT_TRUE(RunUntilReceived(client, "end"));
  EXPECT_TRUE(client.received().ends_with("\r\n\r\n" + *body));
  body.reset();
  ASSERT_TRUE(RunUntil([&] { return watched.expired(); }));
  // The connection is still usable.
  ReplyAtOnce();
  client.Send(Get("/b"));
  EXPECT_TRUE(RunUntilReceived(client, "body of /b\n"));
}

TEST_F(HttpConnectionTest, OmitsASharedBodyForHead) {
  auto body = std::make_shared<const std::string>(kLargeBytes, 'x');
  on_request_ = [&body](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->Reply({.shared_body = body});
  };
  TestClient client = Connect();
  client.Send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(RunUntilReceived(client, "\r\n\r\n"));
  EXPECT_THAT(client.received(),
              HasSubstr("\r\nContent-Length: " + std::to_string(body->size()) + "\r\n"));
  EXPECT_THAT(client.received(), EndsWith("\r\n\r\n"));
  EXPECT_EQ(body.use_count(), 1);
}

TEST_F(HttpConnectionTest, ReleasesASharedBodyOfAClientThatHasGone) {
  std::weak_ptr<const std::string> watched;
  on_request_ = [&watched](const std::shared_ptr<HttpExchange>& exchange) {
    auto body = std::make_shared<const std::string>(kLargeBytes, 'x');
    watched = body;
    exchange->Reply({.shared_body = std::move(body)});
  };
  TestClient client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilReceived(client, "\r\n\r\nxx"));
  EXPECT_FALSE(watched.expired());
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return Closed() && watched.expired(); }));
}

TEST_F(HttpConnectionTest, AnswersADroppedExchange) {
  on_request_ = [](const auto&) {};
  auto client = Connect();
  client.Send(Get("/a"));
  EXPECT_TRUE(RunUntilReceived(client, "HTTP/1.1 500 "));
}

TEST_F(HttpConnectionTest, KnowsWhetherTheLastRequestWasAuthorized) {
  on_request_ = [](const std::shared_ptr<HttpExchange>& exchange) {
    if (exchange->path() == "/a") exchange->MarkAuthorized();
    exchange->Reply({.body = exchange->path() + "."});
  };
  auto client = Connect();
  EXPECT_FALSE(connection_->authorized());
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilReceived(client, "/a."));
  EXPECT_TRUE(connection_->authorized());
  client.Send(Get("/b"));
  ASSERT_TRUE(RunUntilReceived(client, "/b."));
  EXPECT_FALSE(connection_->authorized());
}

// ---- Time limits

TEST_F(HttpConnectionTest, LimitsTheTimeOfTheFirstHead) {
  context_.limits.request_timeout = milliseconds(5);
  auto client = Connect();
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(HttpConnectionTest, FurtherBytesDoNotExtendTheTimeOfAHead) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilReceived(client, "body of /a\n"));
  context_.limits.request_timeout = milliseconds(10);
  client.Send("GET /");
  ASSERT_TRUE(RunUntil([&] {
    client.Send("b");
    return Closed();
  }));
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(HttpConnectionTest, LimitsTheTimeOfABody) {
  context_.limits.request_timeout = milliseconds(10);
  auto client = Connect();
  client.Send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
  ASSERT_TRUE(RunUntil([&] {
    client.Send("b");
    return Closed();
  }));
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(HttpConnectionTest, LimitsTheTimeOfAResponse) {
  context_.limits.write_timeout = milliseconds(10);
  ReplyTooMuchAtOnce();
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntil([&] {
    client.Read(100);  // does not extend it
    return Closed();
  }));
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(HttpConnectionTest, LimitsTheTimeBetweenRequestsWithoutCounting) {
  context_.limits.idle_timeout = milliseconds(5);
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), EndsWith("body of /a\n"));
  EXPECT_TRUE(Closed());
  EXPECT_EQ(rejected(), 0U);
}

TEST_F(HttpConnectionTest, DoesNotLimitTheTimeOfAHandler) {
  context_.limits.request_timeout = milliseconds(1);
  context_.limits.idle_timeout = milliseconds(1);
  context_.limits.write_timeout = milliseconds(1);
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilRequests(1));
  const Deadline later = Clock::now() + milliseconds(20);
  ASSERT_TRUE(RunUntil([&] { return Clock::now() > later; }));
  ASSERT_TRUE(exchanges_[0]->IsPending());
  exchanges_[0]->Reply({.body = "late\n"});
  EXPECT_TRUE(RunUntilReceived(client, "late\n"));
}

TEST_F(HttpConnectionTest, LimitsTheTimeOfLingering) {
  context_.limits.linger_timeout = milliseconds(5);
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a", "Connection: close\r\n"));
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  EXPECT_EQ(rejected(), 0U);
}

TEST_F(HttpConnectionTest, LingersUntilTheClientCloses) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a", "Connection: close\r\n"));
  ASSERT_TRUE(RunUntilEnded(client));
  client.Send("more");
  RunTurns();
  EXPECT_FALSE(Closed());
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return Closed(); }));
}

// ---- Clients that go away

TEST_F(HttpConnectionTest, NoticesThatTheClientOfAPendingRequestHasGone) {
  for (const bool half : {false, true}) {
    paths_.clear();
    int gone = 0;
    auto client = Connect();
    client.Send(Get("/a"));
    ASSERT_TRUE(RunUntilRequests(1));
    exchanges_.back()->OnDisconnect([&] { ++gone; });
    half ? client.HalfClose() : client.Close();
    ASSERT_TRUE(RunUntil([&] { return gone == 1; })) << half;
    EXPECT_TRUE(Closed());
    EXPECT_FALSE(exchanges_.back()->IsPending());
    exchanges_.back()->Reply({.body = "too late"});  // does nothing
  }
  EXPECT_THAT(codes_, IsEmpty());
}

TEST_F(HttpConnectionTest, NoticesItAfterPipelinedBytes) {
  int gone = 0;
  auto client = Connect();
  client.Send(Get("/a") + Get("/b") + "GET /c");
  ASSERT_TRUE(RunUntilRequests(1));
  exchanges_[0]->OnDisconnect([&] { ++gone; });
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return gone == 1; }));
}

TEST_F(HttpConnectionTest, TheCallbackMayDestroyTheExchange) {
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilRequests(1));
  exchanges_[0]->OnDisconnect([this] { exchanges_.clear(); });
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return exchanges_.empty(); }));
}

TEST_F(HttpConnectionTest, DestroysTheCallbackAtReply) {
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilRequests(1));
  const auto held = std::make_shared<int>(1);
  exchanges_[0]->OnDisconnect([held] { FAIL(); });
  exchanges_[0]->Reply({});
  EXPECT_EQ(held.use_count(), 1);
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return Closed(); }));
}

TEST_F(HttpConnectionTest, AnswersAClientThatHalfClosesAfterItsRequests) {
  ReplyAtOnce();
  auto client = Connect();
  client.Send(Get("/a") + Get("/b") + Get("/c"));
  client.HalfClose();
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), EndsWith("body of /c\n"));
  EXPECT_THAT(codes_, ElementsAre(200, 200, 200));
  EXPECT_TRUE(Closed());
}

TEST_F(HttpConnectionTest, AHalfCloseDoesNotCutAResponse) {
  ReplyTooMuchAtOnce();
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilRequests(1));
  client.HalfClose();
  RunTurns();
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), EndsWith("xend"));
}

TEST_F(HttpConnectionTest, ClosesOnAnIncompleteHeadAtTheEnd) {
  auto client = Connect();
  client.Send("GET /a HTTP/1.1\r\n");
  client.HalfClose();
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_EQ(client.received(), "");
}

TEST_F(HttpConnectionTest, AResetDuringAResponseEndsTheConnection) {
  ReplyTooMuchAtOnce();
  auto client = Connect();
  client.Send(Get("/a"));
  ASSERT_TRUE(RunUntilRequests(1));
  client.Close();
  EXPECT_TRUE(RunUntil([&] { return Closed(); }));
}

// ---- Bad clients

TEST_F(HttpConnectionTest, AClientThatStillSendsGetsTheRefusal) {
  auto client = Connect();
  client.Send("GET / HTTP/9.9\r\n" + std::string(100'000, 'x'));
  ASSERT_TRUE(RunUntil([&] {
    client.Send(std::string(1000, 'x'));
    client.Read();
    return client.ended() || client.reset();
  }));
  EXPECT_TRUE(client.ended());
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 505 "));
  EXPECT_THAT(client.received(), HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_EQ(rejected(), 0U);
}

TEST_F(HttpConnectionTest, ClosesOnAClientThatSendsWithoutEnd) {
  auto client = Connect();
  std::size_t sent = 0;
  ASSERT_TRUE(RunUntil([&] {
    sent += client.Send(std::string(100'000, '?'));
    return Closed();
  }));
  EXPECT_LT(sent, std::size_t{4} << 20);
}

TEST_F(HttpConnectionTest, RefusesALongHead) {
  auto client = Connect();
  client.Send("GET / HTTP/1.1\r\nX: " + std::string(context_.limits.max_header_bytes, 'x'));
  ASSERT_TRUE(RunUntilEnded(client));
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(codes_, ElementsAre(431));
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(HttpConnectionTest, LimitsTheInputDuringAPendingRequest) {
  const std::size_t limit = context_.limits.max_header_bytes;
  auto client = Connect();
  client.Send(Get("/a") + std::string(limit, 'x'));
  ASSERT_TRUE(RunUntilRequests(1));
  RunTurns();
  EXPECT_FALSE(Closed());
  int gone = 0;
  exchanges_[0]->OnDisconnect([&] { ++gone; });
  client.Send("x");
  ASSERT_TRUE(RunUntil([&] { return gone == 1; }));
  EXPECT_EQ(rejected(), 1U);
}

}  // namespace
}  // namespace iperf3_exporter
