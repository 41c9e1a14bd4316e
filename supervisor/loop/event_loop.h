// RAII wrappers of libevent's loop and events, for the supervisor's loop thread. A callback may
// destroy the object that calls it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

struct event;
struct event_base;

namespace iperf3_exporter {

struct EventBaseDeleter {
  void operator()(event_base* base) const noexcept;
};
using EventBase = std::unique_ptr<event_base, EventBaseDeleter>;

// Creates a loop that uses the precise monotonic clock. Aborts if libevent can't create one.
[[nodiscard]] EventBase CreateEventBase();

// One event and its callback.
class LoopEvent {
 public:
  LoopEvent(const LoopEvent&) = delete;
  LoopEvent& operator=(const LoopEvent&) = delete;

 protected:
  // `what` as in event_new of libevent. Terminates the program when memory is short.
  LoopEvent(event_base* base, int fd, short what, std::function<void()> callback);
  ~LoopEvent() = default;

  struct FreeEvent {
    void operator()(event* handle) const noexcept;
  };
  std::function<void()> callback_;
  std::unique_ptr<event, FreeEvent> event_;
};

// One-shot timer. Start may be called again at any time.
class Timer : private LoopEvent {
 public:
  Timer(event_base* base, std::function<void()> callback);

  void Start(std::chrono::nanoseconds after);
  void Stop();
};

// Calls back whenever `fd` (borrowed) is readable, until destroyed.
class ReadWatch : private LoopEvent {
 public:
  ReadWatch(event_base* base, int fd, std::function<void()> callback);
};

// Calls back in the loop, not in the signal handler, after the process receives `signal_number`.
class SignalWatch : private LoopEvent {
 public:
  SignalWatch(event_base* base, int signal_number, std::function<void()> callback);
};

}  // namespace iperf3_exporter
