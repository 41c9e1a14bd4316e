#include "supervisor/loop/task_pool.h"

#include <sys/eventfd.h>

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "common/unique_fd.h"

namespace iperf3_exporter {

struct TaskPool::Task::State {
  std::function<void()> work;
  std::function<void()> done;  // loop thread only
  std::weak_ptr<Shared> pool;
};

// What the threads use. Lives until the last of them ends, which may be after the pool.
struct TaskPool::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<Task::State>> queue;
  std::deque<std::shared_ptr<Task::State>> finished;
  std::size_t threads = 0;
  std::size_t idle = 0;
  bool stopping = false;
  Options options;
  UniqueFd ready;  // eventfd: `finished` is not empty

  // The caller must keep a copy of `shared`: the pool may be destroyed during these calls, in
  // CallDone even by a `done` that it calls.
  static void ThreadMain(const std::shared_ptr<Shared>& shared);
  static void CallDone(const std::shared_ptr<Shared>& shared);
  void Finish(std::shared_ptr<Task::State> state);
};

void TaskPool::Task::Abandon() {
  if (!state_) return;
  // Freed after the mutex is released: destroying what `work` and `done` captured may run any code.
  const std::shared_ptr<State> state = std::move(state_);
  if (const auto pool = state->pool.lock()) {
    const std::lock_guard lock(pool->mutex);
    std::erase(pool->queue, state);
  }
  state->done = nullptr;
}

void TaskPool::Shared::Finish(std::shared_ptr<Task::State> state) {
  // Frees what only `work` captured, here on the thread that ran it. The loop thread frees `done`.
  state->work = nullptr;
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    finished.push_back(std::move(state));
    if (finished.size() > 1) return;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(ready.get(), &one, sizeof one);
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
    lock.unlock();
    state->work();
    shared->Finish(std::move(state));
    lock.lock();
  }
  --shared->threads;
}

void TaskPool::Shared::CallDone(const std::shared_ptr<Shared>& shared) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(shared->ready.get(), &count, sizeof count);
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
  ready_watch_ = std::make_unique<ReadWatch>(base, shared_->ready.get(),
                                             [shared = shared_] { Shared::CallDone(shared); });
}

TaskPool::~TaskPool() {
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
  if (shared_->queue.size() >= shared_->options.max_queued)
    return MakeError("too many tasks are waiting");
  // Each queued piece of work already claims one idle thread.
  if (shared_->queue.size() >= shared_->idle && shared_->threads < shared_->options.max_threads) {
    try {
      std::thread(Shared::ThreadMain, shared_).detach();
      ++shared_->threads;
    } catch (const std::system_error& error) {
      if (shared_->threads == 0)
        return MakeError(ErrnoText("starting a thread", error.code().value()));
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
