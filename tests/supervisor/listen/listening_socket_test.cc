#include "supervisor/listen/listening_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>

namespace iperf3_exporter {
namespace {

Result<ListeningSocket> Open(const std::string& address) {
  return ParseListenAddress(address).and_then(ListeningSocket::Open);
}

// The server that closes first keeps the connection in TIME_WAIT, for a minute.
TEST(ListeningSocketTest, OpensAPortWhoseConnectionsWereJustClosed) {
  auto first = Open("127.0.0.1:0");
  ASSERT_TRUE(first) << first.error().message;
  const std::string name = first->Name();
  const auto address = ParseListenAddress(name);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address->address),
                      address->length),
            0);
  {
    const ListeningSocket closing = std::move(*first);
    const UniqueFd server(::accept(closing.fd(), nullptr, nullptr));
    ASSERT_TRUE(server);
  }
  char byte = 0;
  ASSERT_EQ(::recv(client.get(), &byte, 1, 0), 0);
  const auto second = Open(name);
  EXPECT_TRUE(second) << second.error().message;
}

TEST(ListeningSocketTest, AnAddressThatTheHostLacksMayComeLater) {
  const auto socket = Open("192.0.2.1:0");
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().message, "listen on 192.0.2.1:0: Cannot assign requested address");
  EXPECT_TRUE(socket.error().is_transient);
}

}  // namespace
}  // namespace iperf3_exporter
