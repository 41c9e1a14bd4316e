// Blocking work (getaddrinfo, bcrypt) off the event loop.
//
// Threads are started when there is work and none is idle, up to a maximum, and end after a while
// without work. Results come back on the event loop, in the thread of the loop, in the order in
// which the work ended.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "common/error.h"

struct event_base;

namespace iperf3_exporter {

class TaskPool {
 public:
  struct Options {
    std::size_t max_threads = 4;
    // Work that waits for a thread; beyond it Submit refuses.
    std::size_t max_queued = 1024;
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(30);
    // Of each thread; 0: the system's default.
    std::size_t stack_bytes = 0;
  };

  // The shared state of one piece of work. Destroying the handle abandons it: `work` is not begun
  // any more if it has not yet, its place in the queue is free at once, and `done` is never called.
  // What `work` refers to must live as long as `work` itself, so capture by value.
  class Task {
   public:
    Task() = default;
    ~Task() { Abandon(); }
    Task(Task&& other) noexcept = default;
    Task& operator=(Task&& other) noexcept {
      if (this != &other) {
        Abandon();
        state_ = std::move(other.state_);
      }
      return *this;
    }
    void Abandon();
    // Submitted, and `done` has not been called.
    [[nodiscard]] bool IsPending() const;
    // A thread has taken it up, so that abandoning it saves no work.
    [[nodiscard]] bool HasBegun() const;

   private:
    friend class TaskPool;
    struct State;
    std::shared_ptr<State> state_;
  };

  // Throws nothing; if the eventfd can't be made the process has no descriptors left and dies.
  TaskPool(event_base* base, Options options);
  // Never waits: queued work is dropped, threads in a call that hangs are left to themselves
  // (they share only state that they own) and end with it or with the process.
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // Runs `work` on a thread, then `done` on the loop. Neither may throw. Fails, having called
  // nothing, when the queue is full or no thread can be started.
  [[nodiscard]] Result<Task> Submit(std::function<void()> work, std::function<void()> done);

  [[nodiscard]] std::size_t ThreadCount() const;

 private:
  struct Shared;
  struct LoopSide;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<LoopSide> loop_side_;
};

}  // namespace iperf3_exporter
