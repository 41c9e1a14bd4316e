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

void PushThree(ProbeQueue& queue, std::uint32_t slot) {
  for (ProbeQueue::Ticket ticket = 1; ticket <= 3; ++ticket) queue.Push(ticket, slot);
}

TEST(ProbeQueueTest, ServesOneSlotInOrderOfArrivalOneAtATime) {
  ProbeQueue queue;
  PushThree(queue, 0);
  EXPECT_EQ(queue.PopNext(), 1U);
  EXPECT_EQ(queue.PopNext(), std::nullopt);
  queue.Finish(0);
  EXPECT_EQ(queue.PopNext(), 2U);
  queue.Finish(0);
  EXPECT_EQ(queue.PopNext(), 3U);
  queue.Finish(0);
  EXPECT_EQ(queue.PopNext(), std::nullopt);
  EXPECT_EQ(queue.size(), 0U);
}

TEST(ProbeQueueTest, RunsDifferentSlotsSideBySideEarliestFirst) {
  ProbeQueue queue;
  queue.Push(1, 5);
  queue.Push(2, 5);
  queue.Push(3, 6);
  EXPECT_EQ(PopAll(queue), (std::vector<ProbeQueue::Ticket>{1, 3}));
  queue.Finish(5);
  EXPECT_EQ(queue.PopNext(), 2U);
}

TEST(ProbeQueueTest, WithoutASlotNobodyWaitsForAnybody) {
  ProbeQueue queue;
  PushThree(queue, kNoLock);
  EXPECT_EQ(PopAll(queue), (std::vector<ProbeQueue::Ticket>{1, 2, 3}));
}

TEST(ProbeQueueTest, TellsWhoWaitsForAWorkerOnly) {
  ProbeQueue queue;
  PushThree(queue, 0);
  queue.Push(4, kNoLock);
  EXPECT_TRUE(queue.IsRunnable(1) && queue.IsRunnable(4));
  EXPECT_FALSE(queue.IsRunnable(2));
  EXPECT_EQ(queue.PopNext(), 1U);
  EXPECT_FALSE(queue.IsRunnable(1) || queue.IsRunnable(2));
  queue.Finish(0);
  EXPECT_TRUE(queue.IsRunnable(2));
}

TEST(ProbeQueueTest, ARemovedTicketIsNotServed) {
  ProbeQueue queue;
  PushThree(queue, 0);
  EXPECT_TRUE(queue.Remove(1));
  EXPECT_FALSE(queue.Remove(1));
  EXPECT_EQ(queue.PopNext(), 2U);
  EXPECT_TRUE(queue.Remove(3));
  queue.Finish(0);
  EXPECT_EQ(queue.PopNext(), std::nullopt);
}

TEST(ProbeQueueTest, ARetryStandsWhereItsArrivalPutsIt) {
  ProbeQueue queue;
  PushThree(queue, 0);
  EXPECT_EQ(queue.PopNext(), 1U);
  queue.Finish(0);
  queue.Push(1, 0);
  EXPECT_EQ(queue.PopNext(), 1U);
}

TEST(ProbeQueueTest, FinishOfAnUnknownSlotChangesNothing) {
  ProbeQueue queue;
  queue.Finish(9);
  queue.Push(1, 9);
  EXPECT_EQ(queue.PopNext(), 1U);
}

// The model: a plain list, scanned from the front.
class ListModel {
 public:
  void Push(ProbeQueue::Ticket ticket, std::uint32_t slot) { list_.emplace_back(ticket, slot); }
  void Finish(std::uint32_t slot) { busy_[slot] = false; }
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
  std::vector<std::pair<ProbeQueue::Ticket, std::uint32_t>> list_;
  std::vector<bool> busy_ = std::vector<bool>(4, false);
};

TEST(ProbeQueueTest, AgreesWithAPlainListOverManySteps) {
  ProbeQueue queue;
  ListModel model;
  std::uint32_t random = 12345;
  for (ProbeQueue::Ticket step = 1; step < 20000; ++step) {
    random = random * 1664525U + 1013904223U;
    const std::uint32_t slot = (random >> 16) % 4;
    const std::uint32_t action = (random >> 24) % 4;
    if (action < 2) {
      queue.Push(step, slot);
      model.Push(step, slot);
    } else if (action == 2) {
      queue.Finish(slot);
      model.Finish(slot);
    } else {
      ASSERT_EQ(queue.PopNext(), model.PopNext()) << step;
    }
    ASSERT_EQ(queue.size(), model.size());
  }
}

}  // namespace
}  // namespace iperf3_exporter
