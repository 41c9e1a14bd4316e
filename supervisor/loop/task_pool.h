// Blocking work (getaddrinfo, bcrypt) off the event loop.
//
// A thread is started when there is work and no idle thread, up to a maximum, and ends after a
// while without work. The `done` callbacks run in the loop thread, in the order in which the work
// ended.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "common/error.h"
#include "supervisor/loop/event_loop.h"

namespace iperf3_exporter {

class TaskPool {
 public:
  struct Options {
    std::size_t max_threads = 4;
    // Work that waits for a thread; beyond it Submit refuses.
    std::size_t max_queued = 1024;
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(30);
  };

  // A handle to one piece of work. Destroying it abandons the work: `done` is never called, and
  // work that has not begun leaves the queue at once. Work that has begun continues. What `work`
  // refers to must live as long as `work` itself, so capture by value.
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
    // Lets the work and `done` run without a handle.
    void Detach() { state_.reset(); }

   private:
    friend class TaskPool;
    struct State;
    std::shared_ptr<State> state_;
  };

  // Terminates the program when there is no descriptor left.
  TaskPool(event_base* base, Options options);
  // Never waits: queued work is dropped. A thread in a call that hangs ends after that call or with
  // the process; it uses only state that it co-owns.
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // Runs `work` on a thread, then `done` on the loop. Neither may throw. Fails, having called
  // nothing, when the queue is full or no thread can be started.
  [[nodiscard]] Result<Task> Submit(std::function<void()> work, std::function<void()> done);

  [[nodiscard]] std::size_t ThreadCount() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<ReadWatch> ready_watch_;
};

}  // namespace iperf3_exporter
