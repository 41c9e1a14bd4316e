#include "supervisor/loop/event_loop.h"

#include <event2/event.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/deleter.h"

namespace iperf3_exporter {
namespace {

// libevent is C: an exception must not cross it. The callback is copied to the stack because it may
// destroy its owner.
void RunCallback(evutil_socket_t /*fd*/, short /*what*/, void* argument) noexcept {
  const auto callback = *static_cast<std::function<void()>*>(argument);
  callback();
}

// An event that can't be added would never call back.
void AddOrAbort(event* handle, const timeval* delay) {
  if (::event_add(handle, delay) != 0) std::abort();
}

}  // namespace

void EventBaseDeleter::operator()(event_base* base) const noexcept { ::event_base_free(base); }

EventBase CreateEventBase() {
  const std::unique_ptr<event_config, Deleter<event_config_free>> config(::event_config_new());
  if (config == nullptr) std::abort();
  ::event_config_set_flag(config.get(), EVENT_BASE_FLAG_PRECISE_TIMER);
  // Variables such as EVENT_NOEPOLL could leave no method at all.
  ::event_config_set_flag(config.get(), EVENT_BASE_FLAG_IGNORE_ENV);
  EventBase base(::event_base_new_with_config(config.get()));
  if (base == nullptr) std::abort();
  return base;
}

void LoopEvent::FreeEvent::operator()(event* handle) const noexcept { ::event_free(handle); }

LoopEvent::LoopEvent(event_base* base, int fd, short what, std::function<void()> callback)
    : callback_(std::move(callback)), event_(::event_new(base, fd, what, RunCallback, &callback_)) {
  if (event_ == nullptr) std::abort();
}

Timer::Timer(event_base* base, std::function<void()> callback)
    : LoopEvent(base, /*fd=*/-1, /*what=*/0, std::move(callback)) {}

void Timer::Start(std::chrono::nanoseconds after) {
  const auto microseconds =
      std::chrono::ceil<std::chrono::microseconds>(std::max(after, std::chrono::nanoseconds(0)))
          .count();
  const timeval delay{static_cast<time_t>(microseconds / 1'000'000),
                      static_cast<suseconds_t>(microseconds % 1'000'000)};
  AddOrAbort(event_.get(), &delay);
}

void Timer::Stop() { ::event_del(event_.get()); }

ReadWatch::ReadWatch(event_base* base, int fd, std::function<void()> callback)
    : LoopEvent(base, fd, EV_READ | EV_PERSIST, std::move(callback)) {
  AddOrAbort(event_.get(), nullptr);
}

SignalWatch::SignalWatch(event_base* base, int signal_number, std::function<void()> callback)
    : LoopEvent(base, signal_number, EV_SIGNAL | EV_PERSIST, std::move(callback)) {
  AddOrAbort(event_.get(), nullptr);
}

}  // namespace iperf3_exporter
