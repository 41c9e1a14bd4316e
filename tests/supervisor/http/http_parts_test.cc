// The pure parts of the HTTP server: addresses, gzip.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <zlib.h>

#include <string>
#include <utility>
#include <vector>

#include "supervisor/http/client_network.h"
#include "supervisor/http/compression.h"
#include "supervisor/listen/listen_address.h"
#include "supervisor/listen/listening_socket.h"

namespace iperf3_exporter {
namespace {

TEST(ClientNetworkTest, IsTheAddressOrTheIpv6Network) {
  for (const auto& [peer, network] : std::vector<std::pair<std::string, std::string>>{
           {"192.0.2.1:4711", "192.0.2.1"},
           {"[::ffff:192.0.2.1]:4711", "192.0.2.1"},
           {"[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::"},
           {"[2001:db8:1:3::1]:1", "2001:db8:1:3::"},
           {"[::1]:80", "::"},
           {"unix", "unix"}}) {
    EXPECT_EQ(ClientNetwork(peer), network);
  }
}

std::string Shown(const ListenAddress& address) {
  return SocketAddressText(reinterpret_cast<const sockaddr*>(&address.address), address.length);
}

TEST(ListenAddressTest, ParsesEveryForm) {
  EXPECT_EQ(Shown(*ParseListenAddress(":9579")), "[::]:9579");
  EXPECT_TRUE(ParseListenAddress(":9579")->any_family);
  EXPECT_TRUE(ParseListenAddress("[::]:9579")->any_family);
  EXPECT_EQ(Shown(*ParseListenAddress("127.0.0.1:0")), "127.0.0.1:0");
  EXPECT_EQ(Shown(*ParseListenAddress("localhost:80")), "127.0.0.1:80");
  EXPECT_EQ(Shown(*ParseListenAddress("[::1]:65535")), "[::1]:65535");
  EXPECT_EQ(Shown(*ParseListenAddress("[::ffff:192.0.2.1]:80")), "192.0.2.1:80");
  EXPECT_EQ(ParseListenAddress("unix:/run/a b")->UnixPath(), "/run/a b");
  EXPECT_EQ(Shown(*ParseListenAddress("unix:/run/a")), "unix:/run/a");
}

TEST(ListenAddressTest, RefusesAnythingElse) {
  for (const char* bad : {"",
                          "9579",
                          ":",
                          ":x",
                          ":65536",
                          ":-1",
                          ":+1",
                          ": 1",
                          "1.2.3:80",
                          "::1:80",
                          "[::1]",
                          "[::1]80",
                          "[:80",
                          "[]:80",
                          "[1.2.3.4]:80",
                          "[::1%nonexistent]:80",
                          "example.org:80",
                          "unix:",
                          "unix:relative",
                          "127.0.0.1:80 "}) {
    const auto address = ParseListenAddress(bad);
    ASSERT_FALSE(address) << bad;
    EXPECT_NE(address.error().message.find("an address such as :9579"), std::string::npos);
  }
  EXPECT_FALSE(ParseListenAddress("unix:/" + std::string(200, 'a')));
  EXPECT_FALSE(ParseListenAddress(std::string("unix:/a\0b", 9)));
  EXPECT_FALSE(ParseListenAddress(std::string("127.0.0.1\0:80", 13)));
}

TEST(CompressionTest, ReadsAcceptEncoding) {
  for (const char* yes :
       {"gzip", "deflate, gzip", "gzip;q=0.5", "*", "x-gzip", "br;q=0,gzip ; q=1"}) {
    EXPECT_TRUE(AcceptsGzip(yes)) << yes;
  }
  for (const char* no :
       {"", "identity", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "br", "gzipped"}) {
    EXPECT_FALSE(AcceptsGzip(no)) << no;
  }
}

TEST(CompressionTest, CompressesAsGzip) {
  const std::string text(10'000, 'a');
  const auto packed = Gzip(text);
  ASSERT_TRUE(packed);
  EXPECT_LT(packed->size(), 200U);
  std::string unpacked(text.size(), '\0');
  z_stream stream{};
  ASSERT_EQ(inflateInit2(&stream, 31), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed->data()));
  stream.avail_in = static_cast<uInt>(packed->size());
  stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
  stream.avail_out = static_cast<uInt>(unpacked.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  inflateEnd(&stream);
  EXPECT_EQ(unpacked, text);
}

TEST(CompressionTest, ReturnsNothingIfItDoesNotShrink) { EXPECT_FALSE(Gzip("a1B2c3D4")); }

}  // namespace
}  // namespace iperf3_exporter
