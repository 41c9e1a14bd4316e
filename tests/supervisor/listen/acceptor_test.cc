#include "supervisor/listen/acceptor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <filesystem>

#include "common/build_sanitizers.h"
#include "tests/helpers/temporary_directory.h"
#include "tests/supervisor/http/connection_fixture.h"

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AcceptorTest : public LoopTest {
 protected:
  void Listen(const char* name) {
    const auto address = ParseListenAddress("unix:" + directory_ / name);
    ASSERT_TRUE(acceptor_.Add(*ListeningSocket::Open(*address)));
  }
  UniqueFd NewSocket() const {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  }
  bool Connect(const UniqueFd& fd, const char* name) const {
    const auto address = ParseListenAddress("unix:" + directory_ / name);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address->address),
                     address->length) == 0;
  }

  const TemporaryDirectory directory_;
  std::vector<UniqueFd> accepted_;
  std::vector<std::string> peers_;
  std::vector<std::string> errors_;
  Acceptor acceptor_{
      base(),
      {.on_connection =
           [this](UniqueFd fd, std::string peer) {
             accepted_.push_back(std::move(fd));
             peers_.push_back(std::move(peer));
           },
       .on_error = [this](const std::string& reason) { errors_.push_back(reason); }}};
};

TEST_F(AcceptorTest, AcceptsFromEachSocket) {
  Listen("a");
  Listen("b");
  const UniqueFd first = NewSocket();
  const UniqueFd second = NewSocket();
  ASSERT_TRUE(Connect(first, "a"));
  ASSERT_TRUE(Connect(second, "b"));
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 2; }));
  EXPECT_THAT(peers_, ElementsAre("unix", "unix"));
  EXPECT_THAT(acceptor_.ListeningOn(), SizeIs(2));
  for (const UniqueFd& fd : accepted_) {
    EXPECT_NE(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_F(AcceptorTest, StopClosesTheSockets) {
  Listen("a");
  acceptor_.Stop();
  EXPECT_FALSE(Connect(NewSocket(), "a"));
  EXPECT_THAT(acceptor_.ListeningOn(), IsEmpty());
}

TEST_F(AcceptorTest, PausesWithoutDescriptorsThenContinues) {
  if (kBuiltWithSanitizer) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  Listen("a");
  const UniqueFd client = NewSocket();
  ASSERT_TRUE(Connect(client, "a"));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const UniqueFd lowest_free(::dup(client.get()));
  rlimit none = old;
  none.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(RunUntil([&] { return !errors_.empty(); }));
  RunTurns(100);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("Too many open files")));
  EXPECT_THAT(accepted_, IsEmpty());
  EXPECT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
}

TEST_F(AcceptorTest, StopEndsAPause) {
  if (kBuiltWithSanitizer) GTEST_SKIP() << "the sanitizer needs descriptors of its own";
  Listen("a");
  const UniqueFd client = NewSocket();
  ASSERT_TRUE(Connect(client, "a"));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const UniqueFd lowest_free(::dup(client.get()));
  rlimit none = old;
  none.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(RunUntil([&] { return !errors_.empty(); }));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  acceptor_.Stop();
  EXPECT_EQ(::event_base_dispatch(base()), 1) << "an event is left";
}

}  // namespace
}  // namespace iperf3_exporter
