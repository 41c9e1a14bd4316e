#include "supervisor/listen/listen_address.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/helpers/temporary_directory.h"

namespace iperf3_exporter {
namespace {

ListenAddress MustParse(const std::string& text) {
  const auto address = ParseListenAddress(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(ListenAddress());
}

bool BothWays(const std::string& a, const std::string& b) {
  const bool overlap = Overlap(MustParse(a), MustParse(b));
  EXPECT_EQ(overlap, Overlap(MustParse(b), MustParse(a))) << a << ' ' << b;
  return overlap;
}

TEST(ListenAddressTest, AddressesOfOnePortOverlapIfOneIncludesTheOther) {
  for (const auto& [a, b] : {std::pair(":1", ":1"),
                             {":1", "[::]:1"},
                             {":1", "0.0.0.0:1"},
                             {":1", "127.0.0.1:1"},
                             {":1", "[::1]:1"},
                             {"0.0.0.0:1", "192.0.2.1:1"},
                             {"127.0.0.1:1", "localhost:1"},
                             {"127.0.0.1:1", "[::ffff:127.0.0.1]:1"},
                             {"[::1]:1", "[0:0::1]:1"},
                             {"[::1]:1", "[::1%1]:1"},
                             {"[2001:db8::1%1]:1", "[2001:db8::1%2]:1"},
                             {"[::%1]:1", "127.0.0.1:1"}}) {
    EXPECT_TRUE(BothWays(a, b)) << a << ' ' << b;
  }
  for (const auto& [a, b] : {std::pair(":1", ":2"),
                             {":0", ":0"},
                             {"127.0.0.1:0", "127.0.0.1:0"},
                             {"127.0.0.1:1", "127.0.0.2:1"},
                             {"127.0.0.1:1", "[::1]:1"},
                             {"0.0.0.0:1", "[::1]:1"},
                             {"[::1]:1", "[::2]:1"},
                             {"[fe80::1%1]:1", "[fe80::1%2]:1"},
                             {":1", "unix:/1"}}) {
    EXPECT_FALSE(BothWays(a, b)) << a << ' ' << b;
  }
}

TEST(ListenAddressTest, SocketFilesOverlapIfTheirPathsLeadToOneFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.path().string();
  std::filesystem::create_directory_symlink(path, path + "/link");
  for (const char* same : {"/a", "/./a", "//a", "/link/a"}) {
    EXPECT_TRUE(BothWays("unix:" + path + "/a", "unix:" + path + same)) << same;
  }
  EXPECT_FALSE(BothWays("unix:" + path + "/a", "unix:" + path + "/b"));
}

}  // namespace
}  // namespace iperf3_exporter
