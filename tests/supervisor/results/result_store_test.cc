#include "supervisor/results/result_store.h"

#include <gtest/gtest.h>

namespace iperf3_exporter {
namespace {

using std::chrono::seconds;

StoredResult ResultOf(const std::string& target, std::uint32_t attempts = 1) {
  return {.key = {.target = {.text = target}},
          .report = {.target = target, .attempts = attempts},
          .began = TimePoint(seconds(1))};
}

TEST(ResultStoreTest, FindsTheResultWithAnEqualKey) {
  ResultStore store;
  EXPECT_EQ(store.Find(ResultOf("a").key), nullptr);
  store.Add(ResultOf("a", 1));
  store.Add(ResultOf("b", 2));
  const StoredResult* found = store.Find(ResultOf("b").key);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->report.attempts, 2U);
  EXPECT_EQ(found->began, TimePoint(seconds(1)));
  EXPECT_EQ(store.Find(ResultOf("c").key), nullptr);
}

TEST(ResultStoreTest, KeepsTheLatestResultOfAKey) {
  ResultStore store;
  store.Add(ResultOf("a", 1));
  const std::size_t bytes = store.bytes();
  store.Add(ResultOf("a", 2));
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(store.bytes(), bytes);
  EXPECT_EQ(store.Find(ResultOf("a").key)->report.attempts, 2U);
}

TEST(ResultStoreTest, DropsTheOldestBeyondItsNumber) {
  ResultStore store;
  for (std::size_t i = 0; i < ResultStore::kMaxResults; ++i) {
    store.Add(ResultOf(std::to_string(i)));
  }
  // Now the latest one.
  store.Add(ResultOf("0"));
  store.Add(ResultOf("one more"));
  EXPECT_EQ(store.size(), ResultStore::kMaxResults);
  EXPECT_EQ(store.Find(ResultOf("1").key), nullptr);
  EXPECT_NE(store.Find(ResultOf("0").key), nullptr);
  EXPECT_NE(store.Find(ResultOf("2").key), nullptr);
  EXPECT_NE(store.Find(ResultOf("one more").key), nullptr);
}

TEST(ResultStoreTest, DropsTheOldestBeyondItsBytes) {
  const auto large = [](const std::string& target) {
    StoredResult result = ResultOf(target);
    result.key.addresses.resize(10'000);
    result.report.result = tl::unexpected(TestFailure{.detail = std::string(500, 'x')});
    return result;
  };
  ResultStore store;
  store.Add(large("first"));
  const std::size_t each = store.bytes();
  EXPECT_GT(each, 10'000 * sizeof(AddressPair) + 500);
  for (std::size_t i = 1; i <= ResultStore::kMaxBytes / each; ++i) {
    EXPECT_NE(store.Find(large("first").key), nullptr) << i;
    store.Add(large(std::to_string(i)));
  }
  EXPECT_EQ(store.Find(large("first").key), nullptr);
  EXPECT_NE(store.Find(large("1").key), nullptr);
  EXPECT_LE(store.bytes(), ResultStore::kMaxBytes);
}

}  // namespace
}  // namespace iperf3_exporter
