#include "common/run_main.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <stdexcept>
#include <thread>

namespace iperf3_exporter {
namespace {

using testing::ExitedWithCode;

void EndWith(const std::function<int()>& body) { std::exit(RunMain("program", body)); }

// Like a callback of the event loop.
void CallBack(const std::function<void()>& callback) noexcept { callback(); }

TEST(RunMainDeathTest, ReturnsTheResultOfTheBody) {
  EXPECT_EXIT(EndWith([] { return 7; }), ExitedWithCode(7), "^$");
}

TEST(RunMainDeathTest, ReportsAnExceptionInOneLine) {
  EXPECT_EXIT(EndWith([]() -> int { throw std::runtime_error("no such thing"); }),
              ExitedWithCode(kExitException),
              "^program: terminated by an exception: no such thing\n$");
  EXPECT_EXIT(EndWith([]() -> int { throw std::bad_alloc(); }), ExitedWithCode(kExitException),
              "^program: terminated by an exception: std::bad_alloc\n$");
  EXPECT_EXIT(EndWith([]() -> int { throw 3; }), ExitedWithCode(kExitException),
              "^program: terminated by an exception\n$");
}

TEST(RunMainDeathTest, ReportsAnExceptionOfACallbackOrAThread) {
  const auto fail = [] { throw std::runtime_error("late"); };
  EXPECT_EXIT(EndWith([&] {
                CallBack(fail);
                return 0;
              }),
              ExitedWithCode(kExitException), "^program: terminated by an exception: late\n$");
  EXPECT_EXIT(EndWith([&] {
                std::thread(fail).join();
                return 0;
              }),
              ExitedWithCode(kExitException), "^program: terminated by an exception: late\n$");
  EXPECT_EXIT(EndWith([]() -> int { std::terminate(); }), ExitedWithCode(kExitException),
              "^program: terminated without an exception\n$");
}

}  // namespace
}  // namespace iperf3_exporter
