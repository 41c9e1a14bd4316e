#include "supervisor/app/service_manager.h"

#include <systemd/sd-daemon.h>

#include <cinttypes>
#include <cstdlib>
#include <utility>

#include "common/deadline.h"

namespace iperf3_exporter {
namespace {

constexpr std::chrono::milliseconds kStatusDelay{100};

}  // namespace

ServiceManager::ServiceManager(event_base* base, std::function<std::string()> status)
    : status_(std::move(status)),
      status_timer_(base, [this] { NotifyStatus(); }),
      watchdog_(base, [this] { NotifyWatchdog(); }) {
  std::uint64_t timeout_microseconds = 0;
  if (::sd_watchdog_enabled(0, &timeout_microseconds) <= 0) return;
  // sd_watchdog_enabled(3) recommends half of the timeout.
  watchdog_interval_ = std::chrono::microseconds(timeout_microseconds / 2);
  NotifyWatchdog();
}

void ServiceManager::NotifyReady() {
  ::sd_notify(0, "READY=1");
  NotifyStatus();
}

void ServiceManager::NotifyReloading() {
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch());
  // Type=notify-reload needs MONOTONIC_USEC (systemd 253).
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64, static_cast<std::int64_t>(now.count()));
}

void ServiceManager::NotifyStopping() { ::sd_notify(0, "STOPPING=1"); }

void ServiceManager::NotifyStatusSoon() {
  if (status_due_ || ::getenv("NOTIFY_SOCKET") == nullptr) return;
  status_due_ = true;
  status_timer_.Start(kStatusDelay);
}

void ServiceManager::NotifyStatus() {
  status_due_ = false;
  std::string status = status_();
  if (status == last_status_) return;
  ::sd_notifyf(0, "STATUS=%s", status.c_str());
  last_status_ = std::move(status);
}

void ServiceManager::NotifyWatchdog() {
  ::sd_notify(0, "WATCHDOG=1");
  watchdog_.Start(watchdog_interval_);
}

}  // namespace iperf3_exporter
