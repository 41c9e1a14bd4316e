#include "common/logging.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "common/unique_fd.h"

namespace iperf3_exporter {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;

// What `write` logs to stderr.
std::string Captured(LogLevel level, LogFormat format, const std::function<void()>& write) {
  InitLogging("logging_test", level, format);
  testing::internal::CaptureStderr();
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(LoggingTest, WritesOneLogfmtLine) {
  const std::string text = Captured(LogLevel::kInfo, LogFormat::kLogfmt, [] {
    Log(LogLevel::kWarn, "probe failed",
        {{"target", "h"}, {"port", 5201}, {"up", false}, {"s", 1.5}});
  });
  EXPECT_THAT(text, MatchesRegex("ts=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z level=warn "
                                 "msg=\"probe failed\" target=h port=5201 up=false s=1.5\n"));
}

TEST(LoggingTest, WritesOneJsonLine) {
  const std::string text = Captured(LogLevel::kInfo, LogFormat::kJson, [] {
    Log(LogLevel::kError, "a \"b\"",
        {{"n", 7}, {"t", true}, {"text", "7"}, {"bad", std::numeric_limits<double>::infinity()}});
  });
  EXPECT_THAT(text, MatchesRegex("\\{\"ts\":\"[^\"]*Z\",\"level\":\"error\",.*\n"));
  EXPECT_THAT(text, EndsWith(R"("msg":"a \"b\"","n":7,"t":true,"text":"7","bad":"inf"})"
                             "\n"));
}

TEST(LoggingTest, KeepsHostileTextOnOneLine) {
  const std::string hostile("x\n\r\0\x1b[31m\"=\\\xff\xc2\x85 y", 17);
  for (const LogFormat format : {LogFormat::kLogfmt, LogFormat::kJson}) {
    const std::string text = Captured(LogLevel::kInfo, format, [&] {
      Log(LogLevel::kInfo, hostile, {{"value", hostile}});
    });
    ASSERT_EQ(text.find('\n'), text.size() - 1);
    for (const char c : text.substr(0, text.size() - 1))
      EXPECT_GE(static_cast<unsigned char>(c), 0x20);
    EXPECT_THAT(text, HasSubstr(R"(x\n\r\u0000\u001b[31m\"=\\\ufffd\u0085 y")"));
  }
}

TEST(LoggingTest, QuotesOnlyIfNecessary) {
  const std::string text = Captured(LogLevel::kInfo, LogFormat::kLogfmt, [] {
    Log(LogLevel::kInfo, "m", {{"a", ""}, {"b", "a=b"}, {"c", "[::1]:9579"}, {"d", "two words"}});
  });
  EXPECT_THAT(text, EndsWith("msg=m a=\"\" b=\"a=b\" c=[::1]:9579 d=\"two words\"\n"));
}

TEST(LoggingTest, CutsLongValues) {
  const std::string text = Captured(LogLevel::kInfo, LogFormat::kLogfmt, [] {
    Log(LogLevel::kInfo, std::string(100'000, 'm'), {{"v", std::string(100'000, 'v')}});
  });
  EXPECT_LT(text.size(), 2 * kMaxLogValueBytes + 200);
  EXPECT_THAT(text, EndsWith("v…\"\n"));
}

TEST(LoggingTest, WritesOnlyEnabledLevels) {
  const std::string text = Captured(LogLevel::kWarn, LogFormat::kLogfmt, [] {
    Log(LogLevel::kDebug, "no");
    Log(LogLevel::kInfo, "no");
    EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
    EXPECT_TRUE(LogEnabled(LogLevel::kError));
  });
  EXPECT_EQ(text, "");
  EXPECT_THAT(Captured(LogLevel::kDebug, LogFormat::kLogfmt, [] { Log(LogLevel::kDebug, "yes"); }),
              EndsWith("level=debug msg=yes\n"));
}

TEST(LoggingTest, FormatsLinesOfLibraries) {
  const std::string text =
      Captured(LogLevel::kInfo, LogFormat::kLogfmt, [] { LOG(WARNING) << "from a library"; });
  EXPECT_THAT(text, MatchesRegex(
                        "ts=.* level=warn caller=logging_test.cc:[0-9]+ msg=\"from a library\"\n"));
}

TEST(LoggingTest, DoesNotMixLinesOfThreads) {
  const std::string text = Captured(LogLevel::kInfo, LogFormat::kLogfmt, [] {
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int line = 0; line < 100; ++line) Log(LogLevel::kInfo, "m", {{"k", "value"}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::size_t lines = 0;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos;
       at = end + 1, ++lines) {
    EXPECT_THAT(text.substr(at, end - at), MatchesRegex("ts=[^ ]* level=info msg=m k=value"));
  }
  EXPECT_EQ(lines, 400u);
}

// Replaces stderr by a pipe of two blocks, which is a blocking one, as one of another user's is.
class PipeAsStderr {
 public:
  PipeAsStderr() {
    InitLogging("logging_test", LogLevel::kInfo, LogFormat::kLogfmt);
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    reader_.Reset(ends[0]);
    const UniqueFd writer(ends[1]);
    EXPECT_EQ(::fcntl(writer.get(), F_SETPIPE_SZ, 2 * PIPE_BUF), 2 * PIPE_BUF);
    ::dup2(writer.get(), STDERR_FILENO);
  }
  ~PipeAsStderr() { ::dup2(saved_.get(), STDERR_FILENO); }
  PipeAsStderr(const PipeAsStderr&) = delete;
  PipeAsStderr& operator=(const PipeAsStderr&) = delete;

  static void Fill(int blocks) {
    const std::string text(static_cast<std::size_t>(blocks) * PIPE_BUF, 'x');
    EXPECT_EQ(::write(STDERR_FILENO, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // What is in it now; not nothing.
  [[nodiscard]] std::string Read() const {
    std::string text(std::size_t{2} * PIPE_BUF, '\0');
    const ssize_t got = ::read(reader_.get(), text.data(), text.size());
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }

 private:
  const UniqueFd saved_{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)};
  UniqueFd reader_;
};

constexpr char kOneLostThenNext[] =
    "ts=[^ ]* level=warn msg=\"log lines lost[^\"]*\" lines=1\nts=[^ ]* level=info msg=next\n";

TEST(LoggingTest, LosesALineRatherThanWait) {
  const PipeAsStderr pipe;
  pipe.Fill(2);
  const std::uint64_t lost = CountLostLogLines();
  ::alarm(60);  // ends this program if it waits
  Log(LogLevel::kInfo, "lost");
  ::alarm(0);
  EXPECT_EQ(CountLostLogLines(), lost + 1);
  static_cast<void>(pipe.Read());
  Log(LogLevel::kInfo, "next");
  EXPECT_THAT(pipe.Read(), MatchesRegex(kOneLostThenNext));
}

TEST(LoggingTest, BeginsANewLineAfterOneThatWasCut) {
  const PipeAsStderr pipe;
  pipe.Fill(1);
  const std::string v(kMaxLogValueBytes, 'v');
  Log(LogLevel::kInfo, "cut", {{"a", v}, {"b", v}, {"c", v}, {"d", v}});
  const std::string block = pipe.Read().substr(PIPE_BUF);
  EXPECT_EQ(block.size(), std::size_t{PIPE_BUF});
  EXPECT_THAT(block, EndsWith("vvv"));
  Log(LogLevel::kInfo, "next");
  EXPECT_THAT(pipe.Read(), MatchesRegex(std::string("\n") + kOneLostThenNext));
}

}  // namespace
}  // namespace iperf3_exporter
