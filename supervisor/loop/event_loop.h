// Owners of libevent's handles, for the supervisor's one loop. Everything here runs on
// the loop's thread. A callback may destroy the object it belongs to.
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

// A loop on the monotonic clock. Terminates the program when the kernel gives none.
[[nodiscard]] EventBase CreateEventBase();

struct EventDeleter {
  void operator()(event* handle) const noexcept;
};

// One-shot timer; Start again re-arms it.
class Timer {
 public:
  Timer(event_base* base, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Start(std::chrono::nanoseconds after);
  void Stop();

 private:
  std::unique_ptr<std::function<void()>> callback_;
  std::unique_ptr<event, EventDeleter> event_;
};

// Calls back whenever `fd` (borrowed) is readable, until destroyed.
class ReadWatch {
 public:
  ReadWatch(event_base* base, int fd, std::function<void()> callback);
  ~ReadWatch();
  ReadWatch(const ReadWatch&) = delete;
  ReadWatch& operator=(const ReadWatch&) = delete;

 private:
  std::unique_ptr<std::function<void()>> callback_;
  std::unique_ptr<event, EventDeleter> event_;
};

// Calls back on the loop, not in the signal's context, whenever `signal_number` came.
class SignalWatch {
 public:
  SignalWatch(event_base* base, int signal_number, std::function<void()> callback);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  std::unique_ptr<std::function<void()>> callback_;
  std::unique_ptr<event, EventDeleter> event_;
};

}  // namespace iperf3_exporter
