#include "supervisor/service_manager.h"

#include <systemd/sd-daemon.h>

#include <cinttypes>

#include "common/deadline.h"

namespace iperf3_exporter {

ServiceManager::ServiceManager(event_base* base) : watchdog_(base, [this] { KickWatchdog(); }) {
  std::uint64_t timeout_microseconds = 0;
  if (::sd_watchdog_enabled(0, &timeout_microseconds) <= 0) return;
  // sd_watchdog_enabled(3) recommends half of the time-out.
  watchdog_interval_ = std::chrono::microseconds(timeout_microseconds / 2);
  KickWatchdog();
}

void ServiceManager::TellReady() { ::sd_notify(0, "READY=1"); }

void ServiceManager::TellReloading() {
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch());
  // MONOTONIC_USEC is asked for by Type=notify-reload (systemd 253).
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64, static_cast<std::int64_t>(now.count()));
}

void ServiceManager::TellStopping() { ::sd_notify(0, "STOPPING=1"); }

void ServiceManager::TellStatus(const std::string& status) {
  if (status == status_) return;
  status_ = status;
  ::sd_notifyf(0, "STATUS=%s", status.c_str());
}

void ServiceManager::KickWatchdog() {
  ::sd_notify(0, "WATCHDOG=1");
  watchdog_.Start(watchdog_interval_);
}

}  // namespace iperf3_exporter
