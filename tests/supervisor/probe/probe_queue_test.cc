#include "supervisor/probe/probe_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace iperf3_exporter {
namespace {

std::vector<ProbeQueue::Ticket> PopAll(ProbeQueue& queue) {
  std::vector<ProbeQueue::Ticket> tickets;
  while (const auto ticket = queue.PopNext()) tickets.push_back(*ticket);
  return tickets;
}

void PushThree(ProbeQueue& queue, LockKey key) {
  for (ProbeQueue::Ticket ticket = 1; ticket <= 3; ++ticket) queue.Push(ticket, key);
}

TEST(ProbeQueueTest, ServesOneKeyInOrderOfArrivalOneAtATime) {
  ProbeQueue queue;
  PushThree(queue, 7);
  EXPECT_EQ(queue.PopNext(), 1U);
  EXPECT_EQ(queue.PopNext(), std::nullopt);
  queue.Finish(7);
  EXPECT_EQ(queue.PopNext(), 2U);
  queue.Finish(7);
  EXPECT_EQ(queue.PopNext(), 3U);
  queue.Finish(7);
  EXPECT_EQ(queue.PopNext(), std::nullopt);
  EXPECT_EQ(queue.size(), 0U);
}

TEST(ProbeQueueTest, RunsDifferentKeysInParallelEarliestFirst) {
  ProbeQueue queue;
  queue.Push(1, 5);
  queue.Push(2, 5);
  queue.Push(3, 6);
  EXPECT_EQ(PopAll(queue), (std::vector<ProbeQueue::Ticket>{1, 3}));
  queue.Finish(5);
  EXPECT_EQ(queue.PopNext(), 2U);
}

TEST(ProbeQueueTest, ProbesWithoutAKeyDoNotWaitForEachOther) {
  ProbeQueue queue;
  PushThree(queue, kNoLock);
  EXPECT_EQ(PopAll(queue), (std::vector<ProbeQueue::Ticket>{1, 2, 3}));
}

TEST(ProbeQueueTest, KnowsWhichProbeNeedsOnlyAWorker) {
  ProbeQueue queue;
  PushThree(queue, 7);
  queue.Push(4, kNoLock);
  EXPECT_TRUE(queue.IsRunnable(1) && queue.IsRunnable(4));
  EXPECT_FALSE(queue.IsRunnable(2));
  EXPECT_EQ(queue.PopNext(), 1U);
  EXPECT_FALSE(queue.IsRunnable(1) || queue.IsRunnable(2));
  queue.Finish(7);
  EXPECT_TRUE(queue.IsRunnable(2));
}

TEST(ProbeQueueTest, SkipsARemovedTicket) {
  ProbeQueue queue;
  PushThree(queue, 7);
  EXPECT_TRUE(queue.Remove(1));
  EXPECT_FALSE(queue.Remove(1));
  EXPECT_EQ(queue.PopNext(), 2U);
  EXPECT_TRUE(queue.Remove(3));
  queue.Finish(7);
  EXPECT_EQ(queue.PopNext(), std::nullopt);
}

TEST(ProbeQueueTest, ARetryKeepsThePlaceOfItsArrival) {
  ProbeQueue queue;
  PushThree(queue, 7);
  EXPECT_EQ(queue.PopNext(), 1U);
  queue.Finish(7);
  queue.Push(1, 7);
  EXPECT_EQ(queue.PopNext(), 1U);
}

TEST(ProbeQueueTest, FinishOfAnUnknownKeyChangesNothing) {
  ProbeQueue queue;
  queue.Finish(9);
  queue.Push(1, 9);
  EXPECT_EQ(queue.PopNext(), 1U);
}

// A second implementation to compare with.
class ListModel {
 public:
  void Push(ProbeQueue::Ticket ticket, LockKey key) { list_.emplace_back(ticket, key); }
  void Finish(LockKey key) { busy_[key] = false; }
  std::size_t size() const { return list_.size(); }
  std::optional<ProbeQueue::Ticket> PopNext() {
    for (auto entry = list_.begin(); entry != list_.end(); ++entry) {
      if (busy_[entry->second]) continue;
      const ProbeQueue::Ticket ticket = entry->first;
      busy_[entry->second] = true;
      list_.erase(entry);
      return ticket;
    }
    return std::nullopt;
  }

 private:
  std::vector<std::pair<ProbeQueue::Ticket, LockKey>> list_;
  std::vector<bool> busy_ = std::vector<bool>(5, false);
};

TEST(ProbeQueueTest, AgreesWithAListOverManySteps) {
  ProbeQueue queue;
  ListModel model;
  std::uint32_t random = 12345;
  for (ProbeQueue::Ticket step = 1; step < 20000; ++step) {
    random = random * 1664525U + 1013904223U;
    const LockKey key = (random >> 16) % 4 + 1;
    const std::uint32_t action = (random >> 24) % 4;
    if (action < 2) {
      queue.Push(step, key);
      model.Push(step, key);
    } else if (action == 2) {
      queue.Finish(key);
      model.Finish(key);
    } else {
      ASSERT_EQ(queue.PopNext(), model.PopNext()) << step;
    }
    ASSERT_EQ(queue.size(), model.size());
  }
}

}  // namespace
}  // namespace iperf3_exporter
