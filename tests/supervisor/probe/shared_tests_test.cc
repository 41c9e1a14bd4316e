#include "supervisor/probe/shared_tests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TestKey KeyOf(const std::string& target) { return {.target = {.text = target}}; }

TEST(SharedTestsTest, JoinsTheEarliestTestWithAnEqualKey) {
  SharedTests tests;
  EXPECT_EQ(tests.TryJoin(9, KeyOf("a")), std::nullopt);
  tests.Open(3, KeyOf("a"));
  tests.Open(2, KeyOf("a"));
  tests.Open(1, KeyOf("b"));
  EXPECT_EQ(tests.TryJoin(9, KeyOf("a")), 2U);
  EXPECT_TRUE(tests.IsJoined(2));
  EXPECT_FALSE(tests.IsJoined(1));
  EXPECT_FALSE(tests.IsJoined(3));
}

TEST(SharedTestsTest, NamesTheTestThatAJoinerLeaves) {
  SharedTests tests;
  tests.Open(1, KeyOf("a"));
  EXPECT_EQ(tests.TryJoin(2, KeyOf("a")), 1U);
  EXPECT_EQ(tests.TryJoin(3, KeyOf("a")), 1U);
  EXPECT_EQ(tests.Leave(2), 1U);
  EXPECT_TRUE(tests.IsJoined(1));
  EXPECT_EQ(tests.Leave(3), 1U);
  EXPECT_FALSE(tests.IsJoined(1));
  EXPECT_EQ(tests.Leave(3), std::nullopt);
  EXPECT_EQ(tests.Leave(1), std::nullopt);
}

TEST(SharedTestsTest, ClosesWithTheJoinersInOrderOfArrival) {
  SharedTests tests;
  tests.Open(2, KeyOf("a"));
  for (const SharedTests::Id id : {5, 1, 3}) EXPECT_EQ(tests.TryJoin(id, KeyOf("a")), 2U);
  EXPECT_THAT(tests.Close(2), ElementsAre(1, 3, 5));
  EXPECT_EQ(tests.TryJoin(9, KeyOf("a")), std::nullopt);
  EXPECT_EQ(tests.Leave(3), std::nullopt);
  EXPECT_FALSE(tests.IsJoined(2));
  EXPECT_THAT(tests.Close(2), IsEmpty());
}

}  // namespace
}  // namespace iperf3_exporter
