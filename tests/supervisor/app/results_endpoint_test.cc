#include "supervisor/app/results_endpoint.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/exposition/results_exposition.h"
#include "tests/supervisor/exposition/own_test_samples.h"
#include "tests/supervisor/http/connection_fixture.h"

namespace iperf3_exporter {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kOpenMetrics[] = "Accept: application/openmetrics-text; version=1.0.0\r\n";
constexpr char kGzip[] = "Accept-Encoding: gzip\r\n";
constexpr std::size_t kManyTests = 1000;  // whose page exceeds every socket buffer

std::string Unpack(const std::string& packed) {
  std::string text(std::size_t{64} << 20, '\0');
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

std::string BodyOf(const TestClient& client) {
  return client.received().substr(client.received().find("\r\n\r\n") + 4);
}

OwnTestResults ManyTests() {
  OwnTestResults results;
  for (std::size_t i = 0; i < kManyTests; ++i) {
    results.push_back(std::make_shared<const OwnTestResult>(SampleOwnTest(
        "test-" + std::to_string(i), SampleReport(Protocol::kTcp, Direction::kUpload))));
  }
  return results;
}

class ResultsEndpointTest : public ConnectionFixture {
 protected:
  ResultsEndpointTest() {
    on_request_ = [this](const std::shared_ptr<HttpExchange>& exchange) {
      endpoint_->Serve(exchange);
    };
  }

  [[nodiscard]] bool RunUntilComplete(TestClient& client) {
    return RunUntil([&] {
      client.Read();
      const std::string& text = client.received();
      const std::size_t body = text.find("\r\n\r\n");
      const std::size_t field = text.find("\r\nContent-Length: ");
      return body != std::string::npos && field != std::string::npos &&
             text.size() >= body + 4 + std::stoul(text.substr(field + 18));
    });
  }
  [[nodiscard]] std::string PageFor(const std::string& fields) {
    TestClient client = Connect();
    client.Send(Get("/results", fields));
    EXPECT_TRUE(RunUntilComplete(client));
    EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
    return client.received();
  }
  [[nodiscard]] std::string Expected(ExpositionFormat format) const {
    return BuildResultsPage(results_, {}, format);
  }

  OwnTestResults results_ = SampleOwnTests();
  int built_ = 0;  // begun
  std::unique_ptr<ResultsEndpoint> endpoint_ =
      std::make_unique<ResultsEndpoint>(base(), ProbePageStyle{}, [this] {
        ++built_;
        return results_;
      });
};

TEST_F(ResultsEndpointTest, AnswersInEachForm) {
  const std::string text = PageFor("");
  EXPECT_THAT(text, HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r\nContent-Encoding:")));
  EXPECT_THAT(text, EndsWith("\r\n\r\n" + Expected(ExpositionFormat::kText)));
  const std::string open_metrics = PageFor(kOpenMetrics);
  EXPECT_THAT(open_metrics, HasSubstr("\r\nContent-Type: application/openmetrics-text; "));
  EXPECT_THAT(open_metrics, EndsWith("\r\n\r\n" + Expected(ExpositionFormat::kOpenMetrics)));
  for (const auto& [fields, format] :
       {std::pair(std::string(kGzip), ExpositionFormat::kText),
        std::pair(std::string(kGzip) + kOpenMetrics, ExpositionFormat::kOpenMetrics)}) {
    const std::string packed = PageFor(fields);
    EXPECT_THAT(packed, HasSubstr("\r\nContent-Encoding: gzip\r\n"));
    EXPECT_THAT(packed, HasSubstr("\r\nVary: Accept-Encoding\r\n"));
    EXPECT_EQ(Unpack(packed.substr(packed.find("\r\n\r\n") + 4)), Expected(format));
  }
}

TEST_F(ResultsEndpointTest, AnswersWithoutTests) {
  results_.clear();
  EXPECT_THAT(PageFor(kGzip), EndsWith("\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_THAT(PageFor(kOpenMetrics), EndsWith("\r\n\r\n# EOF\n"));
}

TEST_F(ResultsEndpointTest, HeadBuildsNoPage) {
  TestClient client = Connect();
  client.Send("HEAD /results HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(RunUntil([&] {
    client.Read();
    return client.Has("\r\n\r\n");
  }));
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("\r\nContent-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(client.received(), Not(HasSubstr("Content-Length")));
  EXPECT_EQ(built_, 0);
}

// While the first page is built, the loop goes on.
TEST_F(ResultsEndpointTest, ClientsShareABuild) {
  results_ = ManyTests();
  std::vector<TestClient> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(Connect());
    clients.back().Send(Get("/results"));
  }
  ASSERT_TRUE(RunUntil([&] { return paths_.size() == 2; }));
  EXPECT_TRUE(codes_.empty());
  const std::string expected = Expected(ExpositionFormat::kText);
  for (TestClient& client : clients) {
    ASSERT_TRUE(RunUntilComplete(client));
    EXPECT_TRUE(BodyOf(client) == expected);
  }
  EXPECT_EQ(built_, 1);
  // The next one gets a page of its own.
  results_.resize(10);
  EXPECT_THAT(PageFor(""), EndsWith(Expected(ExpositionFormat::kText)));
  EXPECT_EQ(built_, 2);
}

TEST_F(ResultsEndpointTest, ClientsThatAskForDifferentFormsDoNotShare) {
  results_ = ManyTests();
  std::vector<TestClient> clients;
  for (const char* fields : {"", kGzip, kOpenMetrics}) {
    clients.push_back(Connect());
    clients.back().Send(Get("/results", fields));
  }
  clients.push_back(Connect());
  clients.back().Send(Get("/results", std::string(kOpenMetrics) + kGzip));
  ASSERT_TRUE(RunUntil([&] { return paths_.size() == 4; }));
  EXPECT_TRUE(codes_.empty());
  for (TestClient& client : clients) ASSERT_TRUE(RunUntilComplete(client));
  EXPECT_TRUE(BodyOf(clients[0]) == Expected(ExpositionFormat::kText));
  EXPECT_TRUE(Unpack(BodyOf(clients[1])) == Expected(ExpositionFormat::kText));
  EXPECT_TRUE(BodyOf(clients[2]) == Expected(ExpositionFormat::kOpenMetrics));
  EXPECT_TRUE(Unpack(BodyOf(clients[3])) == Expected(ExpositionFormat::kOpenMetrics));
  EXPECT_EQ(built_, 4);
}

TEST_F(ResultsEndpointTest, AClientThatHangsUpDoesNotEndTheBuildOfAnother) {
  results_ = ManyTests();
  TestClient gone = Connect();
  gone.Send(Get("/results"));
  ASSERT_TRUE(RunUntil([&] { return paths_.size() == 1; }));
  TestClient stays = Connect();
  stays.Send(Get("/results"));
  ASSERT_TRUE(RunUntil([&] { return paths_.size() == 2; }));
  gone.Close();
  ASSERT_TRUE(RunUntilComplete(stays));
  EXPECT_TRUE(BodyOf(stays) == Expected(ExpositionFormat::kText));
  EXPECT_EQ(built_, 1);
  EXPECT_EQ(connections_.size(), 1U);
}

TEST_F(ResultsEndpointTest, AllClientsMayHangUp) {
  results_ = ManyTests();
  {
    TestClient gone = Connect();
    gone.Send(Get("/results"));
    ASSERT_TRUE(RunUntil([&] { return paths_.size() == 1; }));
  }
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  results_.resize(10);
  TestClient next = Connect();
  next.Send(Get("/results"));
  ASSERT_TRUE(RunUntilComplete(next));
  // It joined the build that nobody waited for any more, or the next one.
  EXPECT_LE(built_, 2);
}

// Clients that do not read can't make it hold more and more pages.
TEST_F(ResultsEndpointTest, BoundsTheUnreadPages) {
  results_ = ManyTests();
  std::vector<TestClient> slow;
  std::string newest;
  for (std::size_t i = 0; i < ResultsEndpoint::kMaxUnreadPages + 3; ++i) {
    results_.push_back(std::make_shared<const OwnTestResult>(SampleNewTest(std::to_string(i))));
    if (i < ResultsEndpoint::kMaxUnreadPages) newest = Expected(ExpositionFormat::kText);
    slow.push_back(Connect());
    slow.back().Send(Get("/results"));
    ASSERT_TRUE(RunUntil([&] { return codes_.size() == i + 1; }));
  }
  EXPECT_EQ(built_, ResultsEndpoint::kMaxUnreadPages);
  // Another form has its own limit.
  EXPECT_THAT(PageFor(kOpenMetrics), EndsWith("# EOF\n"));
  // The last one has the newest page, as a whole.
  ASSERT_TRUE(RunUntilComplete(slow.back()));
  EXPECT_TRUE(BodyOf(slow.back()) == newest);
  // Clients that have gone, or have read all, release theirs.
  for (TestClient& client : slow) client.Close();
  ASSERT_TRUE(RunUntil([&] { return Closed(); }));
  results_.resize(1);
  EXPECT_THAT(PageFor(""), EndsWith(Expected(ExpositionFormat::kText)));
}

TEST_F(ResultsEndpointTest, MayEndDuringABuild) {
  results_ = ManyTests();
  TestClient client = Connect();
  client.Send(Get("/results"));
  ASSERT_TRUE(RunUntil([&] { return paths_.size() == 1; }));
  endpoint_.reset();
  ASSERT_TRUE(RunUntilComplete(client));
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 500 "));
}

TEST_F(ResultsEndpointTest, MayEndBeforeAPageIsRead) {
  results_ = ManyTests();
  TestClient client = Connect();
  client.Send(Get("/results"));
  ASSERT_TRUE(RunUntil([&] { return codes_.size() == 1; }));
  endpoint_.reset();
  ASSERT_TRUE(RunUntilComplete(client));
  EXPECT_TRUE(BodyOf(client) == Expected(ExpositionFormat::kText));
}

TEST_F(ResultsEndpointTest, AnswersWhileItDrains) {
  context_.draining = true;
  EXPECT_THAT(PageFor(""), HasSubstr("\r\nConnection: close\r\n"));
}

}  // namespace
}  // namespace iperf3_exporter
