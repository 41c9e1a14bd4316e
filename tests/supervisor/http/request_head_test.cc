#include "supervisor/http/request_head.h"

#include <gtest/gtest.h>

#include <string>

namespace iperf3_exporter {
namespace {

const HttpLimits kLimits{.max_header_bytes = 1000, .max_header_fields = 10, .max_body_bytes = 100};

int CodeOf(const std::string& head) {
  const auto parsed = ParseRequestHead(head, kLimits);
  return parsed ? 0 : parsed.error().code;
}

std::string Head(const std::string& line, const std::string& fields = "Host: a\r\n") {
  return line + "\r\n" + fields + "\r\n";
}

TEST(RequestHeadTest, AcceptsWhatScrapersSend) {
  EXPECT_EQ(CodeOf(Head("GET /probe?target=a&port=1 HTTP/1.1")), 0);
  EXPECT_EQ(CodeOf(Head("GET / HTTP/1.0", "")), 0);
  EXPECT_EQ(CodeOf(Head("POST /-/reload HTTP/1.1", "Host: a\r\nContent-Length: 0\r\n")), 0);
  EXPECT_EQ(CodeOf(Head("POST /-/reload HTTP/1.1", "Host: [::1]:80\r\nContent-Length: 0100\r\n")),
            0);
  EXPECT_EQ(CodeOf(Head("GET / HTTP/1.1", "HOST:a\r\nX-A:\r\nX-B: \t b\xc3\xa9 \t\r\n")), 0);
}

TEST(RequestHeadTest, RefusesBodiesOverTheLimit) {
  EXPECT_EQ(CodeOf(Head("POST / HTTP/1.1", "Host: a\r\nContent-Length: 101\r\n")), 413);
  EXPECT_EQ(CodeOf(Head("POST / HTTP/1.1", "Host: a\r\nContent-Length: 18446744073709551616\r\n")),
            413);
  EXPECT_EQ(CodeOf(Head("POST / HTTP/1.1", "Host: a\r\nContent-Length: 1 1\r\n")), 400);
}

TEST(RequestHeadTest, RefusesHeadsOverTheLimits) {
  EXPECT_EQ(CodeOf(Head("GET /" + std::string(1000, 'a') + " HTTP/1.1")), 414);
  EXPECT_EQ(CodeOf(Head("GET / HTTP/1.1", "Host: a\r\nX: " + std::string(1000, 'a') + "\r\n")),
            431);
  std::string fields = "Host: a\r\n";
  for (int i = 0; i < 9; ++i) fields += "X: y\r\n";
  EXPECT_EQ(CodeOf(Head("GET / HTTP/1.1", fields)), 0);
  EXPECT_EQ(CodeOf(Head("GET / HTTP/1.1", fields + "X: y\r\n")), 431);
}

TEST(RequestHeadTest, RefusesEveryIncompleteHead) {
  const std::string head = Head("GET / HTTP/1.1");
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_NE(CodeOf(head.substr(0, size)), 0) << size;
  }
  EXPECT_EQ(CodeOf(head + "x\r\n"), 400);
}

TEST(RequestHeadTest, RefusesControlBytesAnywhere) {
  const std::string head = Head("GET /a HTTP/1.1", "Host: a\r\nX-A: b\r\n");
  for (std::size_t at = 0; at < head.size(); ++at) {
    for (const char byte : {'\0', '\x01', '\x1f', '\x7f'}) {
      std::string changed = head;
      changed[at] = byte;
      EXPECT_NE(CodeOf(changed), 0) << at << " " << int{byte};
    }
  }
}

TEST(RequestHeadTest, FindsTheEndOfAHeadInPieces) {
  const std::string head = Head("GET / HTTP/1.1");
  const std::string bytes = head + "GET";
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    const auto first = FindHeadEnd(bytes.substr(0, cut));
    EXPECT_EQ(first.has_value(), cut >= head.size()) << cut;
    // Bytes that were seen without an end are not searched again.
    if (!first) {
      EXPECT_EQ(FindHeadEnd(bytes, cut), head.size()) << cut;
    }
  }
  for (std::size_t size = 1; size < head.size(); ++size) {
    EXPECT_FALSE(FindHeadEnd(head.substr(0, size), size - 1));
    EXPECT_FALSE(CheckIncompleteHead(head.substr(0, size), size - 1, kLimits));
  }
  EXPECT_EQ(FindHeadEnd(head, head.size() - 1), head.size());
}

TEST(RequestHeadTest, BareLineFeedsEndAHead) {
  EXPECT_EQ(FindHeadEnd("GET / HTTP/1.1\n\nx"), 16U);
  EXPECT_EQ(FindHeadEnd("GET / HTTP/1.1\n\r\nx"), 17U);
  EXPECT_EQ(FindHeadEnd("GET / HTTP/1.1\r\n\nx"), 17U);
}

TEST(RequestHeadTest, RefusesEarlyWhatCannotBecomeValid) {
  EXPECT_EQ(CheckIncompleteHead("\x16", 0, kLimits)->code, 400);
  EXPECT_EQ(CheckIncompleteHead("GET /\r\n", 0, kLimits)->code, 400);
  EXPECT_EQ(CheckIncompleteHead("GET /\r\n", 6, kLimits)->code, 400) << "complete only now";
  EXPECT_EQ(CheckIncompleteHead(std::string(1001, 'a'), 1000, kLimits)->code, 414);
  const std::string line = "GET / HTTP/1.1\r\n";
  EXPECT_EQ(CheckIncompleteHead(line + std::string(1001, 'a'), 1000, kLimits)->code, 431);
}

TEST(RequestHeadTest, ReadsConnectionAsAList) {
  const auto keep_alive = [](const std::string& version, const std::string& fields) {
    return ParseRequestHead(Head("GET / " + version, "Host: a\r\n" + fields), kLimits)->keep_alive;
  };
  EXPECT_TRUE(keep_alive("HTTP/1.1", ""));
  EXPECT_TRUE(keep_alive("HTTP/1.1", "Connection: keep-alive, closed\r\n"));
  EXPECT_FALSE(keep_alive("HTTP/1.0", ""));
  EXPECT_FALSE(keep_alive("HTTP/1.0", "Connection: upgrade\r\n"));
  EXPECT_TRUE(keep_alive("HTTP/1.0", "Connection: te , Keep-Alive\r\n"));
  for (const char* close :
       {"close", "Close", "keep-alive, close", "close,keep-alive", "a,, close "}) {
    for (const char* version : {"HTTP/1.0", "HTTP/1.1"}) {
      EXPECT_FALSE(keep_alive(version, std::string("Connection: ") + close + "\r\n")) << close;
    }
  }
  EXPECT_FALSE(keep_alive("HTTP/1.1", "Connection: keep-alive\r\nCONNECTION: close\r\n"));
}

TEST(RequestHeadTest, FindsFields) {
  const auto head =
      ParseRequestHead(Head("POST /a?b HTTP/1.1",
                            "Host: a\r\nX-A: \tb: c \r\nx-a: d\r\nX:\r\nContent-Length: 7\r\n"),
                       kLimits);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target.path, "/a");
  EXPECT_EQ(head->target.query, "b");
  EXPECT_EQ(head->body_bytes, 7U);
  EXPECT_EQ(head->Field("X-a"), "b: c");
  EXPECT_EQ(head->Field("X"), "");
  EXPECT_EQ(head->Field("x-"), std::nullopt);
  EXPECT_EQ(head->Field("c"), std::nullopt);
}

TEST(RequestHeadTest, ParsesTargets) {
  const auto target = ParseTarget("/a%20b%2F?c=%00&d?e");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/a b/");
  EXPECT_EQ(target->query, "c=%00&d?e");
  EXPECT_EQ(ParseTarget("HTTP://host:1/x?y")->path, "/x");
  EXPECT_EQ(ParseTarget("https://host")->path, "/");
  EXPECT_EQ(ParseTarget("http://host?y")->query, "y");
  for (const char* bad : {"*", "a", "http://", "http:///x", "ftp://a/b", "/%", "/%1", "/%g0",
                          "/%00", "/%1f", "/%7f", "http://a|b/x", "http://u@h/x", "http://h:1^/"}) {
    EXPECT_FALSE(ParseTarget(bad)) << bad;
  }
}

TEST(RequestHeadTest, AcceptsOnlyValidHosts) {
  for (const char* host : {"a", "a.b-c_d:1", "[2001:db8::1]:80", "[fe80::1%25eth0]", "a%20b", ""}) {
    EXPECT_EQ(CodeOf(Head("GET / HTTP/1.1", std::string("Host: ") + host + "\r\n")), 0) << host;
  }
  for (const char* host : {"a b", "a/b", "a|b", "a,b", "u@h", "a\"", "\xc3\xa9", "<a>"}) {
    EXPECT_EQ(CodeOf(Head("GET / HTTP/1.1", std::string("Host: ") + host + "\r\n")), 400) << host;
  }
}

}  // namespace
}  // namespace iperf3_exporter
