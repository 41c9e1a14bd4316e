#include "supervisor/loop/event_loop.h"

#include <event2/event.h>

#include <cstdlib>
#include <utility>

namespace iperf3_exporter {
namespace {

// libevent is C: an exception must not cross it. The callback is copied to the stack
// because it may destroy its owner.
void RunCallback(evutil_socket_t /*fd*/, short /*what*/, void* argument) noexcept {
  const auto callback = *static_cast<std::function<void()>*>(argument);
  callback();
}

event* NewEvent(event_base* base, int fd, short what, std::function<void()>* callback) {
  event* handle = ::event_new(base, fd, what, RunCallback, callback);
  if (handle == nullptr) std::abort();  // out of memory
  return handle;
}

}  // namespace

void EventBaseDeleter::operator()(event_base* base) const noexcept { ::event_base_free(base); }

void EventDeleter::operator()(event* handle) const noexcept { ::event_free(handle); }

EventBase CreateEventBase() {
  std::unique_ptr<event_config, decltype(&::event_config_free)> config(::event_config_new(),
                                                                       &::event_config_free);
  if (config == nullptr) std::abort();
  ::event_config_set_flag(config.get(), EVENT_BASE_FLAG_PRECISE_TIMER);
  EventBase base(::event_base_new_with_config(config.get()));
  if (base == nullptr) std::abort();
  return base;
}

Timer::Timer(event_base* base, std::function<void()> callback)
    : callback_(std::make_unique<std::function<void()>>(std::move(callback))),
      event_(NewEvent(base, -1, 0, callback_.get())) {}

Timer::~Timer() = default;

void Timer::Start(std::chrono::nanoseconds after) {
  const auto microseconds =
      std::chrono::ceil<std::chrono::microseconds>(std::max(after, std::chrono::nanoseconds(0)))
          .count();
  const timeval delay{static_cast<time_t>(microseconds / 1'000'000),
                      static_cast<suseconds_t>(microseconds % 1'000'000)};
  ::event_add(event_.get(), &delay);
}

void Timer::Stop() { ::event_del(event_.get()); }

ReadWatch::ReadWatch(event_base* base, int fd, std::function<void()> callback)
    : callback_(std::make_unique<std::function<void()>>(std::move(callback))),
      event_(NewEvent(base, fd, EV_READ | EV_PERSIST, callback_.get())) {
  ::event_add(event_.get(), nullptr);
}

ReadWatch::~ReadWatch() = default;

SignalWatch::SignalWatch(event_base* base, int signal_number, std::function<void()> callback)
    : callback_(std::make_unique<std::function<void()>>(std::move(callback))),
      event_(NewEvent(base, signal_number, EV_SIGNAL | EV_PERSIST, callback_.get())) {
  ::event_add(event_.get(), nullptr);
}

SignalWatch::~SignalWatch() = default;

}  // namespace iperf3_exporter
