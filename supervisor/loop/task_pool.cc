#include "supervisor/loop/task_pool.h"

#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <utility>

#include "common/unique_fd.h"

namespace iperf3_exporter {

struct TaskPool::Task::State {
  std::function<void()> work;
  std::function<void()> done;  // Loop thread only.
  std::atomic<bool> begun = false;
  std::weak_ptr<Shared> pool;
};

bool TaskPool::Task::IsPending() const { return state_ && state_->done; }

bool TaskPool::Task::HasBegun() const { return state_ && state_->begun; }

// What the threads see; lives until the last of them ends, which may be after the pool.
struct TaskPool::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<Task::State>> queue;
  std::deque<std::shared_ptr<Task::State>> finished;
  std::size_t threads = 0;
  std::size_t idle = 0;
  bool stopping = false;
  Options options;
  UniqueFd ready;  // eventfd: something is in `finished`.

  // 0, or why not as an errno. Not std::thread: that can't be told how much stack.
  static int StartThread(const std::shared_ptr<Shared>& shared);
  static void ThreadMain(const std::shared_ptr<Shared>& shared);
  void Finish(std::shared_ptr<Task::State> state);
};

void TaskPool::Task::Abandon() {
  if (!state_) return;
  // Freed after the lock: what `work` and `done` captured may be anything.
  const std::shared_ptr<State> state = std::move(state_);
  if (const auto pool = state->pool.lock()) {
    const std::lock_guard lock(pool->mutex);
    std::erase(pool->queue, state);
  }
  state->done = nullptr;
}

struct TaskPool::LoopSide {
  struct EventDeleter {
    void operator()(struct event* e) const { event_free(e); }
  };
  std::shared_ptr<Shared> shared;
  std::unique_ptr<event, EventDeleter> ready_event;

  static void OnReady(evutil_socket_t fd, short what, void* argument) noexcept;
};

void TaskPool::Shared::Finish(std::shared_ptr<Task::State> state) {
  // What `work` captured is freed here, on its thread, unless the loop still has to call `done`.
  state->work = nullptr;
  bool first = false;
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    first = finished.empty();
    finished.push_back(std::move(state));
  }
  if (!first) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(ready.get(), &one, sizeof one);
}

int TaskPool::Shared::StartThread(const std::shared_ptr<Shared>& shared) {
  using Argument = std::shared_ptr<Shared>;
  pthread_attr_t attributes;
  if (const int error = ::pthread_attr_init(&attributes); error != 0) return error;
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (shared->options.stack_bytes != 0) {
    ::pthread_attr_setstacksize(&attributes, shared->options.stack_bytes);
  }
  auto argument = std::make_unique<Argument>(shared);
  pthread_t thread{};
  const int error = ::pthread_create(
      &thread, &attributes,
      [](void* owned) -> void* {
        const std::unique_ptr<Argument> mine(static_cast<Argument*>(owned));
        ThreadMain(*mine);
        return nullptr;
      },
      argument.get());
  ::pthread_attr_destroy(&attributes);
  if (error == 0) static_cast<void>(argument.release());
  return error;
}

void TaskPool::Shared::ThreadMain(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (!shared->stopping) {
    if (shared->queue.empty()) {
      ++shared->idle;
      const bool woken = shared->wake.wait_for(lock, shared->options.idle_timeout, [&] {
        return shared->stopping || !shared->queue.empty();
      });
      --shared->idle;
      if (!woken) break;
      continue;
    }
    std::shared_ptr<Task::State> state = std::move(shared->queue.front());
    shared->queue.pop_front();
    state->begun = true;
    lock.unlock();
    state->work();
    shared->Finish(std::move(state));
    lock.lock();
  }
  --shared->threads;
}

void TaskPool::LoopSide::OnReady(evutil_socket_t fd, short, void* argument) noexcept {
  // A copy: `done` may destroy the pool.
  const std::shared_ptr<Shared> shared = static_cast<LoopSide*>(argument)->shared;
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(fd, &count, sizeof count);
  std::deque<std::shared_ptr<Task::State>> finished;
  {
    const std::lock_guard lock(shared->mutex);
    finished.swap(shared->finished);
  }
  for (const auto& state : finished) {
    {
      const std::lock_guard lock(shared->mutex);
      if (shared->stopping) return;
    }
    if (const auto done = std::exchange(state->done, nullptr)) done();
  }
}

TaskPool::TaskPool(event_base* base, Options options) : shared_(std::make_shared<Shared>()) {
  shared_->options = options;
  shared_->ready.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared_->ready) std::abort();
  loop_side_ = std::make_unique<LoopSide>();
  loop_side_->shared = shared_;
  loop_side_->ready_event.reset(event_new(base, shared_->ready.get(), EV_READ | EV_PERSIST,
                                          LoopSide::OnReady, loop_side_.get()));
  if (!loop_side_->ready_event || event_add(loop_side_->ready_event.get(), nullptr) != 0)
    std::abort();
}

TaskPool::~TaskPool() {
  loop_side_->ready_event.reset();
  std::deque<std::shared_ptr<Task::State>> dropped;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    dropped.swap(shared_->queue);
    for (auto& state : shared_->finished) dropped.push_back(std::move(state));
    shared_->finished.clear();
  }
  shared_->wake.notify_all();
  for (const auto& state : dropped) state->done = nullptr;
}

Result<TaskPool::Task> TaskPool::Submit(std::function<void()> work, std::function<void()> done) {
  auto state = std::make_shared<Task::State>();
  state->work = std::move(work);
  state->done = std::move(done);
  state->pool = shared_;
  const std::lock_guard lock(shared_->mutex);
  if (shared_->queue.size() >= shared_->options.max_queued) return MakeError("too much work waits");
  // Idle threads that are already spoken for by queued work don't count.
  if (shared_->queue.size() >= shared_->idle && shared_->threads < shared_->options.max_threads) {
    const int error = Shared::StartThread(shared_);
    if (error == 0) {
      ++shared_->threads;
    } else if (shared_->threads == 0) {
      return MakeError(ErrnoText("thread", error));
    }
  }
  shared_->queue.push_back(state);
  shared_->wake.notify_one();
  Task task;
  task.state_ = std::move(state);
  return task;
}

std::size_t TaskPool::ThreadCount() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->threads;
}

}  // namespace iperf3_exporter
