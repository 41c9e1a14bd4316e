#include "supervisor/probe/server_pauses.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using std::chrono::milliseconds;

TEST(ServerPausesTest, LeavesEachServerAPauseAfterItsLastTest) {
  constexpr LockKey kServer = 1;
  constexpr LockKey kOther = 2;
  const TimePoint end{std::chrono::seconds(1000)};
  ServerPauses pauses;
  EXPECT_EQ(pauses.EarliestStart(kServer), Deadline());
  pauses.OnTestEnded(kServer, end);
  EXPECT_EQ(pauses.EarliestStart(kServer), end + milliseconds(50));
  EXPECT_EQ(pauses.EarliestStart(kOther), Deadline());
  pauses.OnTestEnded(kOther, end + milliseconds(49));
  EXPECT_EQ(pauses.EarliestStart(kServer), end + milliseconds(50));
  pauses.OnTestEnded(kOther, end + milliseconds(50));
  EXPECT_EQ(pauses.EarliestStart(kServer), Deadline());
}

}  // namespace
}  // namespace iperf3_exporter
