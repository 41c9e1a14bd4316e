#include "supervisor/loop/task_pool.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/deadline.h"

namespace iperf3_exporter {
namespace {

// Blocks work until the test opens it.
class Door {
 public:
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class TaskPoolTest : public ::testing::Test {
 protected:
  ~TaskPoolTest() override { event_base_free(base_); }

  template <typename Condition>
  void RunUntil(Condition condition) {
    const Deadline deadline = Clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(Clock::now(), deadline);
      event_base_loop(base_, EVLOOP_ONCE | EVLOOP_NONBLOCK);
      std::this_thread::yield();
    }
  }

  event_base* base_ = event_base_new();
};

TEST_F(TaskPoolTest, DetachedWorkNeedsNoHandle) {
  TaskPool pool(base_, {});
  bool done = false;
  auto task = pool.Submit([] {}, [&] { done = true; });
  ASSERT_TRUE(task);
  task->Detach();
  RunUntil([&] { return done; });
}

TEST_F(TaskPoolTest, WorksOnAThreadAndCallsBackOnTheLoop) {
  TaskPool pool(base_, {});
  std::thread::id worked;
  std::thread::id delivered;
  auto task = pool.Submit([&] { worked = std::this_thread::get_id(); },
                          [&] { delivered = std::this_thread::get_id(); });
  ASSERT_TRUE(task);
  RunUntil([&] { return delivered != std::thread::id(); });
  EXPECT_EQ(delivered, std::this_thread::get_id());
  EXPECT_NE(worked, delivered);
}

TEST_F(TaskPoolTest, LimitsItsThreads) {
  const auto door = std::make_shared<Door>();
  TaskPool pool(base_, {.max_threads = 3});
  int done = 0;
  std::vector<TaskPool::Task> tasks;
  tasks.reserve(10);
  for (int i = 0; i < 10; ++i) {
    tasks.push_back(*pool.Submit([door] { door->Wait(); }, [&] { ++done; }));
  }
  EXPECT_EQ(pool.ThreadCount(), 3U);
  door->Open();
  RunUntil([&] { return done == 10; });
}

TEST_F(TaskPoolTest, IdleThreadsEnd) {
  TaskPool pool(base_, {.idle_timeout = std::chrono::milliseconds(1)});
  bool done = false;
  auto task = pool.Submit([] {}, [&] { done = true; });
  RunUntil([&] { return done && pool.ThreadCount() == 0; });
  done = false;
  task = pool.Submit([] {}, [&] { done = true; });
  RunUntil([&] { return done; });
}

TEST_F(TaskPoolTest, AbandonedWorkCallsNothing) {
  const auto door = std::make_shared<Door>();
  const auto begun = std::make_shared<std::atomic<int>>(0);
  TaskPool pool(base_, {.max_threads = 1});
  const auto work = [door, begun] {
    ++*begun;
    door->Wait();
  };
  int done = 0;
  auto running = pool.Submit(work, [&] { ++done; });
  auto queued = pool.Submit(work, [&] { ++done; });
  bool last_done = false;
  auto last = pool.Submit([] {}, [&] { last_done = true; });
  RunUntil([&] { return *begun == 1; });
  running->Abandon();
  queued->Abandon();
  door->Open();
  RunUntil([&] { return last_done; });
  EXPECT_EQ(done, 0);
  EXPECT_EQ(*begun, 1);
}

TEST_F(TaskPoolTest, RefusesWhenTheQueueIsFull) {
  const auto door = std::make_shared<Door>();
  TaskPool pool(base_, {.max_threads = 1, .max_queued = 2});
  const auto begun = std::make_shared<std::atomic<bool>>(false);
  auto running = pool.Submit(
      [door, begun] {
        *begun = true;
        door->Wait();
      },
      [] {});
  RunUntil([&] { return begun->load(); });
  auto first = pool.Submit([] {}, [] {});
  auto second = pool.Submit([] {}, [] {});
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(pool.Submit([] {}, [] {}));
  door->Open();
}

TEST_F(TaskPoolTest, AbandonedWorkLeavesTheQueue) {
  const auto door = std::make_shared<Door>();
  const auto begun = std::make_shared<std::atomic<bool>>(false);
  TaskPool pool(base_, {.max_threads = 1, .max_queued = 2});
  auto hanging = pool.Submit(
      [door, begun] {
        *begun = true;
        door->Wait();
      },
      [] {});
  RunUntil([&] { return begun->load(); });
  for (int i = 0; i < 10; ++i) {
    auto first = pool.Submit([] {}, [] {});
    auto second = pool.Submit([] {}, [] {});
    ASSERT_TRUE(first && second) << i;
    EXPECT_FALSE(pool.Submit([] {}, [] {}));
  }
  bool done = false;
  const auto held = std::make_shared<int>();
  auto abandoned = pool.Submit([held] {}, [] {});
  auto wanted = pool.Submit([] {}, [&] { done = true; });
  abandoned->Abandon();
  EXPECT_EQ(held.use_count(), 1) << "what it captured is still held";
  door->Open();
  RunUntil([&] { return done; });
}

TEST_F(TaskPoolTest, WorkMayBeAbandonedAfterThePool) {
  const auto door = std::make_shared<Door>();
  auto pool = std::make_unique<TaskPool>(base_, TaskPool::Options{.max_threads = 1});
  auto running = pool->Submit([door] { door->Wait(); }, [] {});
  auto queued = pool->Submit([] {}, [] {});
  pool.reset();
  queued->Abandon();
  running->Abandon();
  door->Open();
}

TEST_F(TaskPoolTest, EndsWhileWorkHangs) {
  const auto door = std::make_shared<Door>();
  const auto begun = std::make_shared<std::atomic<bool>>(false);
  bool done = false;
  {
    TaskPool pool(base_, {});
    auto task = pool.Submit(
        [door, begun] {
          *begun = true;
          door->Wait();
        },
        [&] { done = true; });
    RunUntil([&] { return begun->load(); });
    // The handle is destroyed first, then the pool.
  }
  door->Open();
  event_base_loop(base_, EVLOOP_NONBLOCK);
  EXPECT_FALSE(done);
}

TEST_F(TaskPoolTest, MayBeDestroyedByAResult) {
  auto pool = std::make_unique<TaskPool>(base_, TaskPool::Options{});
  int done = 0;
  const auto end = [&] {
    ++done;
    pool.reset();
  };
  auto first = pool->Submit([] {}, end);
  RunUntil([&] { return done == 1; });
}

}  // namespace
}  // namespace iperf3_exporter
